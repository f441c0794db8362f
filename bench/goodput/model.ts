// The simulated model: a run of n rows takes a·n + b milliseconds, give or take a seeded noise. One run at a time.
import { type Clock, type Random, seededRandom } from '../../src/core/index.js'

/** `maxBatchSize` by default. A model's capacity is what it does with nothing but batches of this size. */
export const MAX_BATCH_ROWS = 32
/** The most that anybody runs: Headrace may grow its bound this far under pressure, and rivals may be configured to it. */
export const LARGEST_BATCH_ROWS = 64
/** Standard deviation of the logarithm of a run's time. */
const NOISE = 0.1

export interface ModelCost {
  readonly name: string
  /** Milliseconds per row: `a`. */
  readonly rowMs: number
  /** Milliseconds per run, whatever its rows: `b`. */
  readonly baseMs: number
}

export const MODELS: readonly ModelCost[] = [
  // 32 rows for less than three times the time of one, as networks on wide hardware have it.
  { name: 'gains much', rowMs: 0.5, baseMs: 8 },
  // Trees and small networks on one core: a batch saves only what a call costs.
  { name: 'gains little', rowMs: 2, baseMs: 1 },
]

export function runMs({ rowMs, baseMs }: ModelCost, rows: number): number {
  return rowMs * rows + baseMs
}

/** Rows per millisecond at batches of `MAX_BATCH_ROWS`. */
export function capacity(model: ModelCost): number {
  return MAX_BATCH_ROWS / runMs(model, MAX_BATCH_ROWS)
}

/** The one instance that every scheduler drives. */
export class Instance {
  readonly #random: Random
  #isBusy = false
  /** For the report: how well a scheduler filled its batches. */
  runs = 0
  rows = 0

  constructor(
    private readonly clock: Clock,
    private readonly model: ModelCost,
    seed: number,
  ) {
    this.#random = seededRandom(seed)
  }

  run(rows: number, done: () => void): void {
    if (this.#isBusy) throw new Error('Two runs at once on a model of concurrency 1.')
    this.#isBusy = true
    this.runs++
    this.rows += rows
    const noise = Math.exp(NOISE * gaussian(this.#random))
    this.clock.after(runMs(this.model, rows) * noise, () => {
      this.#isBusy = false
      done()
    })
  }
}

/** Box and Muller's transform. */
function gaussian(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
}
