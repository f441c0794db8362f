// What every interpreter of routes promises: random trees in random worlds, against a plain second statement of what each node means.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { expectedOf, type Happened } from './route-oracle.js'
import { arbitraryCase, type Case, valuesOf } from './route-world.js'

export interface RouteRunContractOptions {
  readonly run: (given: Case) => Promise<Happened> | Happened
  /** What of a case this interpreter's world can be made to do; default all of it. */
  readonly adapt?: (given: Case) => Case
  readonly numRuns?: number
}

export function routeRunContract({ run, adapt = (given) => given, numRuns = 400 }: RouteRunContractOptions): void {
  it('does in any world what its nodes say: the same reply at the same time, choices, calls, roles and deadlines', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryCase().map(adapt), async (given) => {
        const [happened, expected] = [await run(given), await expectedOf(given)]
        expect(comparable(happened)).toEqual(comparable(expected))
      }),
      { numRuns },
    )
  }, 60_000)
}

function comparable({ answer, atMs, ...rest }: Happened): object {
  return { ...rest, atMs: atMs.toFixed(6), answer: answer && valuesOf(answer) }
}
