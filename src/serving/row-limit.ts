// How many rows a run may have: `maxBatchSize`, and up to `maxBatchSizeUnderPressure` while more waits than that. Growing takes a few
// runs in a row that left rows behind, shrinking many that did not: a limit that swings makes run times that nobody can predict.

const GROW_RUNS = 3
const SHRINK_RUNS = 32

export interface RowLimitOptions {
  readonly maxBatchSize: number
  readonly maxBatchSizeUnderPressure: number
  /** Ascending; empty allows all. */
  readonly allowedBatchSizes: readonly number[]
}

export class RowLimit {
  /** Rows that a run may have now. */
  rows: number
  readonly #usual: number
  readonly #most: number
  readonly #allowed: readonly number[]
  #crowded = 0
  #spacious = 0

  constructor({ maxBatchSize, maxBatchSizeUnderPressure, allowedBatchSizes }: RowLimitOptions) {
    this.#allowed = allowedBatchSizes
    this.#usual = this.#allowedBelow(maxBatchSize)
    this.#most = Math.max(this.#usual, this.#allowedBelow(maxBatchSizeUnderPressure))
    this.rows = this.#usual
  }

  /** A run is put together while this many rows wait. Returns whether the limit changed. */
  onRun(waitingRows: number): boolean {
    if (this.#most === this.#usual) return false
    if (waitingRows > this.#usual) {
      this.#spacious = 0
      if (this.rows === this.#most || waitingRows <= this.rows || ++this.#crowded < GROW_RUNS) return false
      this.#crowded = 0
      const grown = this.#allowedBelow(Math.min(this.#most, this.rows * 2))
      // Allowed sizes may be further apart than that.
      this.rows = grown > this.rows ? grown : this.#allowed.find((size) => size > this.rows)!
      return true
    }
    this.#crowded = 0
    if (this.rows === this.#usual || ++this.#spacious < SHRINK_RUNS) return false
    this.#spacious = 0
    this.rows = this.#usual
    return true
  }

  #allowedBelow(rows: number): number {
    const allowed = this.#allowed
    if (allowed.length === 0) return rows
    let best = allowed[0]!
    for (let i = 1; i < allowed.length && allowed[i]! <= rows; i++) best = allowed[i]!
    return best
  }
}
