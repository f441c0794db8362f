// The three families of traces. A trace is made from its family, model, load and seed, and is the same for every scheduler.
import { type Random, seededRandom } from '../../src/core/index.js'
import { capacity, type ModelCost, runMs } from './model.js'

export interface Arrival {
  readonly atMs: number
  readonly rows: number
  /** Milliseconds from arrival within which an answer is worth something. */
  readonly limitMs: number
}

export interface Family {
  readonly name: string
  readonly what: string
  readonly meanRows: number
  readonly next: (random: Random, model: ModelCost, process: Process) => Arrival
}

/** What a family needs to draw its next arrival. */
export interface Process {
  /** Time of the arrival before. */
  atMs: number
  /** Requests per millisecond, in the mean over the trace. */
  readonly rate: number
  /** Bursts: when the present state ends, and which it is. */
  isBurst: boolean
  stateEndsMs: number
}

/** Limits, as multiples of the time that the request takes when it is run alone at once, and their shares. */
const LIMITS = [
  { times: 3, share: 0.2 },
  { times: 8, share: 0.3 },
  { times: 20, share: 0.5 },
] as const

const BURST = { factor: 2.5, shareOfTime: 0.25, meanMs: 250 }
const CALM_FACTOR = (1 - BURST.factor * BURST.shareOfTime) / (1 - BURST.shareOfTime)
const RAMP = { depth: 0.5, periodMs: 10_000 }
const SIZES = [
  { rows: 1, share: 0.5 },
  { rows: 2, share: 0.2 },
  { rows: 4, share: 0.2 },
  { rows: 8, share: 0.1 },
] as const

export const FAMILIES: readonly Family[] = [
  {
    name: 'steady',
    what: 'Poisson arrivals of single rows; limits of 3, 8 and 20 times a lone run, for 20, 30 and 50 % of requests',
    meanRows: 1,
    next(random, model, process) {
      process.atMs += exponential(random, 1 / process.rate)
      return { atMs: process.atMs, rows: 1, limitMs: classLimit(random, runMs(model, 1)) }
    },
  },
  {
    name: 'bursts',
    what: 'single rows in bursts of 250 ms at 2.5 times the mean rate, a quarter of the time, half the mean rate between them; limits as in steady',
    meanRows: 1,
    next(random, model, process) {
      // Poisson in each state: an arrival that would fall behind the end of a state is drawn again from there.
      for (;;) {
        const factor = process.isBurst ? BURST.factor : CALM_FACTOR
        const gapMs = exponential(random, 1 / (process.rate * factor))
        if (process.atMs + gapMs <= process.stateEndsMs) {
          process.atMs += gapMs
          break
        }
        process.atMs = process.stateEndsMs
        process.isBurst = !process.isBurst
        const calmMs = (BURST.meanMs * (1 - BURST.shareOfTime)) / BURST.shareOfTime
        process.stateEndsMs += exponential(random, process.isBurst ? BURST.meanMs : calmMs)
      }
      return { atMs: process.atMs, rows: 1, limitMs: classLimit(random, runMs(model, 1)) }
    },
  },
  {
    name: 'mixed sizes',
    what: '1, 2, 4 or 8 rows (50, 20, 20 and 10 %), a rate that swings by half over 10 s, limits log-uniform from 3 to 30 times a lone run',
    meanRows: SIZES.reduce((sum, { rows, share }) => sum + rows * share, 0),
    next(random, model, process) {
      // Thinning: candidates at the highest rate, kept in proportion to the present one.
      const highest = process.rate * (1 + RAMP.depth)
      for (;;) {
        process.atMs += exponential(random, 1 / highest)
        const rate = process.rate * (1 + RAMP.depth * Math.sin((2 * Math.PI * process.atMs) / RAMP.periodMs))
        if (random.next() * highest < rate) break
      }
      const { rows } = pick(random, SIZES)
      return { atMs: process.atMs, rows, limitMs: runMs(model, rows) * 3 * 10 ** random.next() }
    },
  },
]

/** Arrivals over `durationMs` at `load` times the capacity of the model. */
export function makeTrace(
  family: Family,
  model: ModelCost,
  load: number,
  durationMs: number,
  seed: number,
): readonly Arrival[] {
  const random = seededRandom(seed)
  const rate = (load * capacity(model)) / family.meanRows
  const process: Process = { atMs: 0, rate, isBurst: false, stateEndsMs: 0 }
  const arrivals: Arrival[] = []
  for (;;) {
    const arrival = family.next(random, model, process)
    if (arrival.atMs > durationMs) return arrivals
    arrivals.push(arrival)
  }
}

function classLimit(random: Random, loneMs: number): number {
  return pick(random, LIMITS).times * loneMs
}

function pick<T extends { readonly share: number }>(random: Random, choices: readonly T[]): T {
  let left = random.next()
  for (const choice of choices) {
    left -= choice.share
    if (left < 0) return choice
  }
  return choices.at(-1)!
}

function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random.next())
}
