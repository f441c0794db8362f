// Which steps have to run for the outputs asked for, and what each of them has to give.
import type { Plan } from './plan.js'

export interface Selection {
  /** Steps that run. */
  readonly count: number
  /** By step: for how many others it waits; -1 when it does not run. */
  readonly waits: readonly number[]
  /** By step: the steps that wait for it. */
  readonly takers: readonly (readonly number[])[]
  /** By step: outputs that somebody takes. */
  readonly outputs: readonly (readonly string[])[]
}

export function select(plan: Plan, names: readonly string[] | undefined): Selection {
  const { steps } = plan
  const taken = steps.map(() => new Set<string>())
  for (const { name, step, tensor } of plan.outputs)
    if (names === undefined || names.includes(name)) taken[step]!.add(tensor)
  const waits = steps.map(() => -1)
  const takers: number[][] = steps.map(() => [])
  let count = 0
  // From the last to the first, because each comes after those whose outputs it takes.
  for (let number = steps.length - 1; number >= 0; number--) {
    if (taken[number]!.size === 0) continue
    count++
    const givers = new Set<number>()
    for (const { from, tensor } of steps[number]!.inputs) {
      if (from === -1) continue
      givers.add(from)
      taken[from]!.add(tensor)
    }
    waits[number] = givers.size
    for (const giver of givers) takers[giver]!.unshift(number)
  }
  return { count, waits, takers, outputs: taken.map((set) => [...set]) }
}
