// Looks at a version's server from time to time, so that its readiness is known before a request pays for it: now and then while it
// is well, soon when a request had reason to doubt it, and less and less often while it is gone.
import type { Clock, Random, Timer } from '../../core/index.js'
import type { RemoteFailure } from './failure.js'

export interface WatchOptions {
  readonly clock: Clock
  readonly random: Random
  readonly everyMs: number
  /** Rejects with a RemoteFailure; `isThorough` asks for the signature too, because the server may be another one by now. */
  readonly look: (isThorough: boolean) => Promise<void>
  /** After each look: what is the matter with the server, as a `RemoteFailure` has it, or undefined. */
  readonly tell: (reason: string | undefined) => void
}

/** One failed look may be a lost packet; the second comes soon. */
const SECOND_LOOK_MS = 250
const LOOKS_UNTIL_UNREADY = 2
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 10_000
const JITTER = 0.1

export class Watch {
  readonly #options: WatchOptions
  #reason: string | undefined
  #failures = 0
  /** Something happened since the last thorough look after which the model may be another. */
  #isSuspect = false
  #isLooking = false
  #timer: Timer | undefined
  #nextMs = 0
  #isClosed = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#lookIn(options.everyMs)
  }

  /** What is the matter with the server; undefined while it can answer. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** Until the next look. */
  get retryAfterMs(): number {
    return Math.max(1, Math.ceil(this.#nextMs - this.#options.clock.monotonicMs()))
  }

  /** A request failed in a way that says something about the server. */
  suspect(): void {
    if (this.#isSuspect) return
    this.#isSuspect = true
    if (this.#reason === undefined && !this.#isLooking) this.#lookIn(0)
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #lookIn(ms: number): void {
    if (this.#isClosed) return
    const { clock, random } = this.#options
    // Versions of one server must not all look at the same moment.
    const pauseMs = ms * (1 - JITTER + 2 * JITTER * random.next())
    this.#timer?.cancel()
    this.#nextMs = clock.monotonicMs() + pauseMs
    this.#timer = clock.after(pauseMs, () => void this.#look())
  }

  async #look(): Promise<void> {
    this.#isLooking = true
    const isThorough = this.#isSuspect || this.#failures > 0
    this.#isSuspect = false
    try {
      await this.#options.look(isThorough)
      this.#failures = 0
      this.#reason = undefined
    } catch (failure) {
      this.#failures++
      const { because, isDefinite } = failure as RemoteFailure
      if (isDefinite || this.#failures >= LOOKS_UNTIL_UNREADY) this.#reason = because
    }
    this.#isLooking = false
    if (this.#isClosed) return
    this.#options.tell(this.#reason)
    this.#lookIn(this.#isSuspect && this.#reason === undefined ? SECOND_LOOK_MS : this.#pauseMs())
  }

  #pauseMs(): number {
    if (this.#failures === 0) return this.#options.everyMs
    if (this.#reason === undefined) return SECOND_LOOK_MS
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(10, this.#failures - 1))
  }
}
