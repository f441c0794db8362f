// How much of its traffic a client may send again: retries of many clients at once are what keeps a server down that was about
// to recover. As in the server's own budget, but this domain imports nothing.

/** Retries for each first attempt of the last ten seconds. */
const SHARE = 0.1
/** Retries in ten seconds whatever the traffic, so that a quiet client can retry at all. */
const RESERVE = 10
const WINDOW_MS = 10_000

export class RetryBudget {
  // Of this window and of the one before, whose share fades as this one fills up.
  #attempts = [0, 0]
  #retries = [0, 0]
  #startMs = performance.now()

  attempted(): void {
    this.#turn()
    this.#attempts[0]!++
  }

  /** Whether a retry may go out; then it counts as gone out. */
  take(): boolean {
    const left = 1 - this.#turn() / WINDOW_MS
    const attempts = this.#attempts[0]! + this.#attempts[1]! * left
    const retries = this.#retries[0]! + this.#retries[1]! * left
    if (retries + 1 > RESERVE + SHARE * attempts) return false
    this.#retries[0]!++
    return true
  }

  /** Milliseconds into the present window. */
  #turn(): number {
    const ageMs = performance.now() - this.#startMs
    if (ageMs < WINDOW_MS) return ageMs
    const isNext = ageMs < 2 * WINDOW_MS
    this.#attempts = [0, isNext ? this.#attempts[0]! : 0]
    this.#retries = [0, isNext ? this.#retries[0]! : 0]
    const intoMs = isNext ? ageMs - WINDOW_MS : 0
    this.#startMs = performance.now() - intoMs
    return intoMs
  }
}
