// The promises of guards, on traffic that is hostile to statistics. A repetition is one day without any difference, and one start of a
// release for each disaster; the same traffic is shown to the rules that others use.
import { seededRandom } from '../src/core/index.js'
import { guardCounts } from '../src/release/guards/counts.js'
import { judge } from '../src/release/guards/judge.js'
import { guardsSection } from '../src/release/guards/settings.js'
import type { PlanStep } from '../src/release/types.js'
import type { Proof } from './proof.js'
import { binomialInterval, type Share, shareText } from './support/guards/binomial.js'
import { flagger, type GuardRun, repeatedZ, runGuards, unitsBy } from './support/guards/rules.js'
import { DAY_MINUTES, makeTraffic, type TrafficOptions } from './support/guards/traffic.js'

const settings = guardsSection.parse({ outcomes: { converted: { worse: 'less' } } })
const BASE = 0.02
const UNITS_A_DAY = 10_000
const STEPS: readonly PlanStep[] = [
  { kind: 'canary', weight: 0.05, length: {} },
  { kind: 'canary', weight: 0.25, length: {} },
  { kind: 'canary', weight: 0.5, length: {} },
]

/** A day in three steps. */
const aDay: TrafficOptions = {
  units: UNITS_A_DAY,
  minutes: DAY_MINUTES,
  shareAt: (minute) => stepAt(minute).weight,
  rate: { champion: BASE, candidate: BASE },
  hasBursts: true,
  maxRequests: 2000,
  hasRest: true,
}

function stepAt(minute: number): { readonly step: number; readonly weight: number } {
  const step = minute < 960 ? 0 : minute < 1260 ? 1 : 2
  return { step, weight: (STEPS[step] as { weight: number }).weight }
}

interface Disaster {
  readonly name: string
  readonly share: number
  readonly rate: number
  readonly withinUnits: number
  readonly minutes: number
  readonly hasBursts: boolean
  readonly maxRequests: number
}

const LEAST_POWER = 0.9

/** Minutes are what so many units take at 42,000 a day, with some to spare. */
const DISASTERS: readonly Disaster[] = [
  {
    name: '2 % to 4 % errors at 5 %',
    share: 0.05,
    rate: 0.04,
    withinUnits: 1500,
    minutes: (DAY_MINUTES * 3) / 4,
    hasBursts: true,
    maxRequests: 2000,
  },
  {
    name: '2 % to 4 % errors at 5 %, one request a unit',
    share: 0.05,
    rate: 0.04,
    withinUnits: 2000,
    minutes: DAY_MINUTES,
    hasBursts: false,
    maxRequests: 1,
  },
  {
    name: '50 % errors at 5 %',
    share: 0.05,
    rate: 0.5,
    withinUnits: 15,
    minutes: 30,
    hasBursts: false,
    maxRequests: 2000,
  },
  {
    name: 'total failure at 5 %',
    share: 0.05,
    rate: 1,
    withinUnits: 6,
    minutes: 16,
    hasBursts: false,
    maxRequests: 2000,
  },
  {
    name: 'total failure at 50 %',
    share: 0.5,
    rate: 1,
    withinUnits: 15,
    minutes: 6,
    hasBursts: false,
    maxRequests: 2000,
  },
]
const UNITS_A_MINUTE = 42_000 / DAY_MINUTES

const RIVALS = [flagger(0.99, 1, 5), flagger(0.95, 30, 5), repeatedZ(2.326)]

interface Tally {
  hits: number
  readonly units: number[]
}

export const proof: Proof = {
  claim:
    'Guards roll a worse candidate back after few units (2 % to 4 % errors within 2,000 at a 5 % canary, 50 % within 15, total failure within 6, each with power 0.9), and one that is no worse in fewer than 1 % of days, over all guards and all looks.',
  fullCount: 10_000,
  async run({ count, seed, progress }) {
    const failures: string[] = []
    const rules = ['guards', ...RIVALS.map(({ name }) => name)]
    const falsely = new Map(rules.map((name) => [name, 0]))
    const byGuard = new Map<string, number>()
    const found = new Map(
      DISASTERS.map((disaster) => [
        disaster,
        new Map(rules.map((name): [string, Tally] => [name, { hits: 0, units: [] }])),
      ]),
    )
    for (let round = 0; round < count; round++) {
      const random = seededRandom(seed * 1_000_003 + round)
      const day = makeTraffic(random, aDay)
      const run = runGuards(
        day,
        settings,
        (minute) => stepAt(minute).weight,
        (minute) => stepAt(minute).step,
      )
      if (run.rollback !== undefined) {
        raise(falsely, 'guards')
        raise(byGuard, run.rollback.guard.replace(/@.*/, ' in a window'))
      }
      for (const rival of RIVALS) if (rival.run(day) !== undefined) raise(falsely, rival.name)
      // The verdict of what is served, on the counts at which the running one stopped.
      if (round % 20 === 0) disagreement(run, STEPS, failures, `day ${round}`)
      for (const disaster of DISASTERS) {
        const { share, withinUnits, minutes, hasBursts, maxRequests } = disaster
        const traffic = makeTraffic(random, {
          units: Math.round(UNITS_A_MINUTE * minutes),
          minutes,
          shareAt: () => share,
          rate: { champion: BASE, candidate: disaster.rate },
          hasBursts,
          maxRequests,
          hasRest: false,
        })
        const detected = runGuards(
          traffic,
          settings,
          () => share,
          () => 0,
          withinUnits,
        )
        const tallies = found.get(disaster)!
        note(tallies.get('guards')!, detected.rollback?.units, withinUnits)
        if (round % 20 === 0)
          disagreement(detected, [{ kind: 'canary', weight: share, length: {} }], failures, `${disaster.name} ${round}`)
        for (const rival of RIVALS) {
          const at = rival.run(traffic)
          note(tallies.get(rival.name)!, at === undefined ? undefined : unitsBy(traffic, at), withinUnits)
        }
      }
      progress(round + 1)
      // Other work of the process may run between rounds.
      if (round % 100 === 0) await new Promise(setImmediate)
    }

    const figures: Record<string, number | string> = {}
    const check = (what: string, share: Share, isBroken: (value: number) => boolean, edge: number) => {
      figures[what] = shareText(share)
      // A small share of the repetitions breaks a promise only when chance does not explain it.
      if (count === proof.fullCount ? isBroken(share.estimate) : isBroken(edge))
        failures.push(`${what}: ${shareText(share)}.`)
    }
    const aa = binomialInterval(falsely.get('guards')!, count)
    check('guards: days without a difference that were rolled back', aa, (value) => value >= settings.alpha, aa.low)
    for (const [guard, times] of byGuard) figures[`guards: of those, by ${guard}`] = times
    for (const disaster of DISASTERS) {
      const { hits, units } = found.get(disaster)!.get('guards')!
      const power = binomialInterval(hits, count)
      const what = `guards: ${disaster.name}, found within ${disaster.withinUnits} candidate units`
      check(what, power, (value) => value < LEAST_POWER, power.high)
      figures[`guards: ${disaster.name}, candidate units to rollback (median)`] = median(units)
    }
    for (const { name } of RIVALS) {
      figures[`${name}: days without a difference that were rolled back`] = shareText(
        binomialInterval(falsely.get(name)!, count),
      )
      for (const disaster of DISASTERS) {
        const { hits, units } = found.get(disaster)!.get(name)!
        figures[`${name}: ${disaster.name}, found within ${disaster.withinUnits} units; median units`] =
          `${shareText(binomialInterval(hits, count))}; ${median(units)}`
      }
    }
    return { failures, figures }
  },
}

function raise(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function note(tally: Tally, units: number | undefined, within: number): void {
  if (units === undefined) return
  tally.units.push(units)
  if (units <= within) tally.hits++
}

/** Of those that were found at all. */
function median(values: number[]): number | string {
  if (values.length === 0) return 'never'
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

/** `judge` must call failed exactly what stopped the run. */
function disagreement(
  { rollback, counts }: GuardRun,
  steps: readonly PlanStep[],
  failures: string[],
  where: string,
): void {
  const failed = judge(guardCounts(counts, steps, settings), settings).filter(({ verdict }) => verdict === 'failed')
  const expected = rollback?.guard.replace(/@.*/, '')
  if (failed.length > 1 || failed[0]?.guard !== expected)
    failures.push(
      `${where}: judge says ${failed[0]?.guard ?? 'nothing'}, the running martingale ${expected ?? 'nothing'}.`,
    )
}
