// One repetition of proofs/guards.ts, and what many of them found, as plain data: several processes share the repetitions.
import { type Random, seededRandom } from '../../../src/core/index.js'
import { guardCounts } from '../../../src/release/guards/counts.js'
import { judge } from '../../../src/release/guards/judge.js'
import type { PlanStep } from '../../../src/release/types.js'
import { compareWithReader } from './records.js'
import { flagger, type GuardRun, repeatedZ, runGuards, unitsBy } from './rules.js'
import { settings } from './settings.js'
import { DAY_MINUTES, makeTraffic, type TrafficOptions, type TrafficRequest } from './traffic.js'

const BASE = 0.02
const UNITS_A_DAY = 6_000
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
/** And its end, without a control: six hours at the rate of the day. */
const LAST_STEPS: readonly PlanStep[] = [{ kind: 'canary', weight: 1, length: {} }]
const anEnd: TrafficOptions = {
  ...aDay,
  units: UNITS_A_DAY / 4,
  minutes: DAY_MINUTES / 4,
  shareAt: () => 1,
  hasRest: false,
}

function stepAt(minute: number): { readonly step: number; readonly weight: number } {
  const step = minute < 960 ? 0 : minute < 1260 ? 1 : 2
  return { step, weight: (STEPS[step] as { weight: number }).weight }
}

export interface Disaster {
  readonly name: string
  readonly share: number
  readonly rate: number
  readonly withinUnits: number
  /** The day of it is long: it is simulated in every so many repetitions. */
  readonly everyRounds: number
  readonly minutes: number
  readonly hasBursts: boolean
  readonly maxRequests: number
}

/** Minutes are what so many units take at 42,000 a day, with some to spare. */
export const DISASTERS: readonly Disaster[] = [
  {
    name: '2 % to 4 % errors at 5 %',
    share: 0.05,
    rate: 0.04,
    withinUnits: 2000,
    everyRounds: 8,
    minutes: DAY_MINUTES,
    hasBursts: true,
    maxRequests: 2000,
  },
  {
    name: '2 % to 4 % errors at 5 %, one request a unit',
    share: 0.05,
    rate: 0.04,
    withinUnits: 2000,
    everyRounds: 4,
    minutes: DAY_MINUTES,
    hasBursts: false,
    maxRequests: 1,
  },
  {
    name: '50 % errors at 5 %',
    share: 0.05,
    rate: 0.5,
    withinUnits: 15,
    everyRounds: 1,
    minutes: 30,
    hasBursts: false,
    maxRequests: 2000,
  },
  {
    name: 'total failure at 5 %',
    share: 0.05,
    rate: 1,
    withinUnits: 6,
    everyRounds: 1,
    minutes: 16,
    hasBursts: false,
    maxRequests: 2000,
  },
  {
    name: 'total failure at 50 %',
    share: 0.5,
    rate: 1,
    withinUnits: 15,
    everyRounds: 1,
    minutes: 6,
    hasBursts: false,
    maxRequests: 2000,
  },
  {
    name: 'total failure in the last step',
    share: 1,
    rate: 1,
    withinUnits: 10,
    everyRounds: 1,
    minutes: 6,
    hasBursts: false,
    maxRequests: 2000,
  },
]
/** Repetitions of which the counts are judged again by the code that is served. */
const CHECKED_ROUNDS = 20
const UNITS_A_MINUTE = 42_000 / DAY_MINUTES

export const RIVALS = [flagger(0.99, 1, 5), flagger(0.95, 30, 5), repeatedZ(2.326)]

/** Which repetitions: `first`, and every so many after it, below `count`. */
export interface Rounds {
  readonly seed: number
  readonly first: number
  readonly every: number
  readonly count: number
}

export interface Found {
  runs: number
  /** Found in time. */
  hits: number
  /** Candidate units until it was found, of all that were. */
  units: number[]
}

/** By rule, ours first and then RIVALS. */
export interface Findings {
  readonly failures: string[]
  /** Days without a difference that were rolled back. */
  readonly falsely: number[]
  readonly byGuard: Record<string, number>
  /** By disaster, then by rule. */
  readonly found: Found[][]
}

export function noFindings(): Findings {
  const rules = 1 + RIVALS.length
  return {
    failures: [],
    falsely: new Array<number>(rules).fill(0),
    byGuard: {},
    found: DISASTERS.map(() => Array.from({ length: rules }, () => ({ runs: 0, hits: 0, units: [] }))),
  }
}

export function addFindings(to: Findings, other: Findings): void {
  to.failures.push(...other.failures)
  other.falsely.forEach((times, rule) => {
    to.falsely[rule]! += times
  })
  for (const [guard, times] of Object.entries(other.byGuard)) to.byGuard[guard] = (to.byGuard[guard] ?? 0) + times
  other.found.forEach((rules, disaster) => {
    rules.forEach(({ runs, hits, units }, rule) => {
      const found = to.found[disaster]![rule]!
      found.runs += runs
      found.hits += hits
      found.units.push(...units)
    })
  })
}

export function runRound(findings: Findings, seed: number, round: number): void {
  const random = seededRandom(seed * 1_000_003 + round)
  quietDay(findings, random, round)
  DISASTERS.forEach((disaster, index) => {
    if (round % disaster.everyRounds === 0) oneDisaster(findings, random, round, disaster, findings.found[index]!)
  })
}

function quietDay({ failures, falsely, byGuard }: Findings, random: Random, round: number): void {
  const isChecked = round % CHECKED_ROUNDS === 0
  const requests: TrafficRequest[] = []
  const day = makeTraffic(random, isChecked ? { ...aDay, onRequest: (request) => requests.push(request) } : aDay)
  const run = runGuards(
    day,
    settings,
    (minute) => stepAt(minute).weight,
    (minute) => stepAt(minute).step,
  )
  const end = makeTraffic(random, anEnd)
  const endRun = runGuards(
    end,
    settings,
    () => 1,
    () => 0,
  )
  const rollback = run.rollback ?? endRun.rollback
  if (rollback !== undefined) {
    falsely[0]!++
    const guard = rollback.guard.replace(/@.*/, ' in a window')
    byGuard[guard] = (byGuard[guard] ?? 0) + 1
  }
  RIVALS.forEach((rival, i) => {
    if (rival.run(day) !== undefined) falsely[i + 1]!++
  })
  if (!isChecked) return
  compareWithJudge(run, STEPS, failures, `day ${round}`)
  compareWithJudge(endRun, LAST_STEPS, failures, `end of day ${round}`)
  compareWithReader(random, day, requests, STEPS, stepAt, failures, `day ${round}`)
}

function oneDisaster(
  { failures }: Findings,
  random: Random,
  round: number,
  { name, share, rate, withinUnits, minutes, hasBursts, maxRequests }: Disaster,
  found: Found[],
): void {
  const isChecked = round % CHECKED_ROUNDS === 0
  const requests: TrafficRequest[] = []
  const traffic = makeTraffic(random, {
    ...(isChecked && { onRequest: (request) => requests.push(request) }),
    units: Math.round(UNITS_A_MINUTE * minutes),
    minutes,
    shareAt: () => share,
    rate: { champion: BASE, candidate: rate },
    hasBursts,
    maxRequests,
    hasRest: false,
  })
  const run = runGuards(
    traffic,
    settings,
    () => share,
    () => 0,
    withinUnits,
  )
  note(found[0]!, run.rollback?.units, withinUnits)
  RIVALS.forEach((rival, i) => {
    const at = rival.run(traffic)
    note(found[i + 1]!, at === undefined ? undefined : unitsBy(traffic, at), withinUnits)
  })
  const steps: PlanStep[] = [{ kind: 'canary', weight: share, length: {} }]
  if (!isChecked) return
  compareWithJudge(run, steps, failures, `${name} ${round}`)
  compareWithReader(random, traffic, requests, steps, () => ({ step: 0, weight: share }), failures, `${name} ${round}`)
}

function note(found: Found, units: number | undefined, within: number): void {
  found.runs++
  if (units === undefined) return
  found.units.push(units)
  if (units <= within) found.hits++
}

/** `judge`, which is what is served, must call failed exactly what stopped the run. */
function compareWithJudge(
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
