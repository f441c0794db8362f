// What arrives at a version: how many rows per millisecond lately, and how much time its callers usually leave it.

/** Time in which the rate forgets most of what was. */
const MEMORY_MS = 100

export class Load {
  #rowsPerMs = 0
  #arrivedRows = 0
  #sinceMs: number | undefined
  /** A low percentile of the times that callers leave, milliseconds; Infinity while nobody sets a limit. */
  tightMs = Number.POSITIVE_INFINITY

  arrived(rows: number, leftMs: number): void {
    this.#arrivedRows += rows
    if (leftMs === Number.POSITIVE_INFINITY) return
    if (this.tightMs === Number.POSITIVE_INFINITY) this.tightMs = leftMs
    // Falls nine times as fast as it rises: about a tenth of the callers leave less.
    else this.tightMs += (leftMs < this.tightMs ? 0.09 : 0.01) * (leftMs - this.tightMs)
  }

  rowsPerMs(nowMs: number): number {
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs
      this.#arrivedRows = 0
      return 0
    }
    const elapsedMs = nowMs - this.#sinceMs
    // Over a shorter time the count says nothing, and the loop asks often.
    if (elapsedMs < 1) return this.#rowsPerMs
    const share = 1 - Math.exp(-elapsedMs / MEMORY_MS)
    this.#rowsPerMs += share * (this.#arrivedRows / elapsedMs - this.#rowsPerMs)
    this.#arrivedRows = 0
    this.#sinceMs = nowMs
    return this.#rowsPerMs
  }
}
