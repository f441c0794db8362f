// The promises of guards, on traffic that is hostile to statistics. A repetition is one day without any difference, and one start of a
// release for each disaster; the same traffic is shown to the rules that others use. All cores share the repetitions.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import type { Proof } from './proof.js'
import { binomialInterval, type Share, shareText } from './support/guards/binomial.js'
import { addFindings, DISASTERS, type Findings, noFindings, RIVALS } from './support/guards/rounds.js'
import { settings } from './support/guards/settings.js'

const LEAST_POWER = 0.9

export const proof: Proof = {
  claim:
    'Guards roll a worse candidate back after few units (2 % to 4 % errors within 2,000 at a 5 % canary, 50 % within 15, total failure within 6, in the last step within 10, each with power 0.9), and one that is no worse in fewer than 1 % of days, over all guards and all looks.',
  fullCount: 10_000,
  async run({ count, seed, progress }) {
    const { failures, falsely, byGuard, found } = await runAll(count, seed, progress)
    const figures: Record<string, number | string> = {}
    const check = (what: string, share: Share, isBroken: (value: number) => boolean, edge: number) => {
      figures[what] = shareText(share)
      // A small share of the repetitions breaks a promise only when chance does not explain it.
      if (isBroken(count === proof.fullCount ? share.estimate : edge)) failures.push(`${what}: ${shareText(share)}.`)
    }
    const quiet = binomialInterval(falsely[0]!, count)
    check(
      'guards: days without a difference that were rolled back',
      quiet,
      (value) => value >= settings.alpha,
      quiet.low,
    )
    for (const [guard, times] of Object.entries(byGuard)) figures[`guards: of those, by ${guard}`] = times
    DISASTERS.forEach(({ name, withinUnits }, i) => {
      const { runs, hits, units } = found[i]![0]!
      const power = binomialInterval(hits, runs)
      check(
        `guards: ${name}, found within ${withinUnits} candidate units (of ${runs})`,
        power,
        (value) => value < LEAST_POWER,
        power.high,
      )
      figures[`guards: ${name}, candidate units to rollback (median)`] = median(units)
    })
    RIVALS.forEach(({ name }, i) => {
      figures[`${name}: days without a difference that were rolled back`] = shareText(
        binomialInterval(falsely[i + 1]!, count),
      )
      DISASTERS.forEach((disaster, j) => {
        const { runs, hits, units } = found[j]![i + 1]!
        figures[`${name}: ${disaster.name}, found within ${disaster.withinUnits} units; median units`] =
          `${shareText(binomialInterval(hits, runs))}; ${median(units)}`
      })
    })
    return { failures, figures }
  },
}

async function runAll(count: number, seed: number, progress: (done: number) => void): Promise<Findings> {
  const every = Math.min(availableParallelism(), count)
  const done = new Array<number>(every).fill(0)
  const shares = await Promise.all(
    done.map(async (_, first) => {
      const child = fork(new URL('./support/guards/share.ts', import.meta.url), { execArgv: ['--import', 'tsx'] })
      let findings: Findings | undefined
      child.on('message', (message: { done: number; findings?: Findings }) => {
        done[first] = message.done
        findings = message.findings
        progress(done.reduce((sum, rounds) => sum + rounds, 0))
      })
      child.send({ seed, first, every, count })
      const [code] = (await once(child, 'exit')) as [number | null]
      if (findings === undefined) throw new Error(`A process that ran repetitions ended with ${code}.`)
      return findings
    }),
  )
  const all = noFindings()
  for (const share of shares) addFindings(all, share)
  return all
}

/** Of those that were found at all. */
function median(values: number[]): number | string {
  if (values.length === 0) return 'never'
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
