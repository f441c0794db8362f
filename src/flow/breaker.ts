// A circuit breaker: closed, open, half-open. It counts calls and says whether the next may go out; it calls nothing itself.
// Rates are over the newest calls of a sliding window, as in resilience4j, and both of its rules are here: failures and slow calls.
import type { Clock, Random } from '../core/index.js'

export type BreakerState = 'closed' | 'open' | 'half-open'

export interface BreakerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Calls looked at: the newest so many. Default 20. */
  readonly windowCalls?: number
  /** Older calls are forgotten; default 10,000. */
  readonly windowMs?: number
  /** Fewer calls than this decide nothing; default 5. */
  readonly minCalls?: number
  /** Share of failures that opens it, above 0 and at most 1; default 0.5. */
  readonly failureRate?: number
  /** A call slower than this counts as slow; default never. */
  readonly slowMs?: number
  /** Share of slow calls that opens it, above 0 and at most 1; default 0.8. */
  readonly slowRate?: number
  /** How long it stays open the first time, give or take a fifth; doubled at each failed probe. Default 1,000. */
  readonly openMs?: number
  /** Bound of the doubling, before jitter; default 30,000. */
  readonly maxOpenMs?: number
  readonly onChange?: (state: BreakerState) => void
}

/** Replicas that saw the same outage must not probe at the same moment. */
const JITTER = 0.2
const FAILED = 1
const SLOW = 2

/**
 * Ask `admits` before each call; when it says true, tell the breaker how the call ended.
 *
 * @example
 * if (!breaker.admits()) return fallback()
 * try { answer = await call(); breaker.succeeded(ms) } catch { breaker.failed(ms) }
 */
export class Breaker {
  readonly #clock: Clock
  readonly #random: Random
  readonly #windowMs: number
  readonly #minCalls: number
  readonly #failureRate: number
  readonly #slowMs: number
  readonly #slowRate: number
  readonly #openMs: number
  readonly #maxOpenMs: number
  readonly #onChange: ((state: BreakerState) => void) | undefined

  #state: BreakerState = 'closed'
  /** The window, a ring: when each call ended, and its FAILED and SLOW bits. */
  readonly #endedMs: Float64Array
  readonly #marks: Uint8Array
  #oldest = 0
  #calls = 0
  #failures = 0
  #slows = 0

  #openedMs = 0
  #openUntilMs = 0
  #failedProbes = 0
  /** When the probe under way was admitted; undefined when there is none. */
  #probeMs: number | undefined = undefined

  constructor(options: BreakerOptions) {
    this.#clock = options.clock
    this.#random = options.random
    this.#windowMs = options.windowMs ?? 10_000
    const windowCalls = options.windowCalls ?? 20
    this.#minCalls = Math.min(options.minCalls ?? 5, windowCalls)
    this.#failureRate = options.failureRate ?? 0.5
    this.#slowMs = options.slowMs ?? Number.POSITIVE_INFINITY
    this.#slowRate = options.slowRate ?? 0.8
    this.#openMs = options.openMs ?? 1000
    this.#maxOpenMs = Math.max(options.maxOpenMs ?? 30_000, this.#openMs)
    this.#onChange = options.onChange
    this.#endedMs = new Float64Array(windowCalls)
    this.#marks = new Uint8Array(windowCalls)
  }

  /** It becomes half-open when the first probe is admitted, not before. */
  get state(): BreakerState {
    return this.#state
  }

  /**
   * Whether a call may go out now. When it is not closed, that is true for one caller at a time, the probe; one that has not
   * reported after `openMs` is given up and the next caller becomes the probe.
   */
  admits(): boolean {
    if (this.#state === 'closed') return true
    if (this.retryAfterMs() > 0) return false
    this.#probeMs = this.#clock.monotonicMs()
    this.#become('half-open')
    return true
  }

  succeeded(latencyMs: number): void {
    this.#report(latencyMs > this.#slowMs ? SLOW : 0, latencyMs)
  }

  failed(latencyMs: number): void {
    this.#report(latencyMs > this.#slowMs ? FAILED | SLOW : FAILED, latencyMs)
  }

  /** The call that was admitted says nothing about health (cancelled, the caller's mistake): a probe's place is given back. */
  ignored(latencyMs = 0): void {
    if (this.#state === 'half-open' && !this.#isFromBefore(latencyMs)) this.#probeMs = undefined
  }

  /** Milliseconds until a probe may go; 0 when closed. */
  retryAfterMs(): number {
    if (this.#state === 'closed') return 0
    const nowMs = this.#clock.monotonicMs()
    if (this.#state === 'open') return Math.max(0, this.#openUntilMs - nowMs)
    return this.#probeMs === undefined ? 0 : Math.max(0, this.#probeMs + this.#openMs - nowMs)
  }

  #report(mark: number, latencyMs: number): void {
    if (this.#state === 'closed') {
      this.#record(mark)
      if (this.#isSick()) this.#open()
      return
    }
    if (this.#state === 'open' || this.#isFromBefore(latencyMs)) return
    // One call has no rate: a slow probe is as bad as a failed one.
    if (mark === 0) {
      this.#failedProbes = 0
      this.#become('closed')
    } else {
      this.#failedProbes++
      this.#open()
    }
  }

  /** Whether a call started before the breaker opened: its end says nothing about now, and it is not the probe. */
  #isFromBefore(latencyMs: number): boolean {
    return this.#clock.monotonicMs() - latencyMs < this.#openedMs
  }

  #record(mark: number): void {
    const nowMs = this.#clock.monotonicMs()
    const size = this.#marks.length
    while (this.#calls > 0 && (this.#calls === size || this.#endedMs[this.#oldest]! <= nowMs - this.#windowMs))
      this.#forgetOldest()
    const at = (this.#oldest + this.#calls) % size
    this.#endedMs[at] = nowMs
    this.#marks[at] = mark
    this.#calls++
    if (mark & FAILED) this.#failures++
    if (mark & SLOW) this.#slows++
  }

  #forgetOldest(): void {
    const mark = this.#marks[this.#oldest]!
    if (mark & FAILED) this.#failures--
    if (mark & SLOW) this.#slows--
    this.#calls--
    this.#oldest = (this.#oldest + 1) % this.#marks.length
  }

  #isSick(): boolean {
    const calls = this.#calls
    if (calls < this.#minCalls) return false
    return this.#failures >= calls * this.#failureRate || this.#slows >= calls * this.#slowRate
  }

  #open(): void {
    const openMs = Math.min(this.#openMs * 2 ** this.#failedProbes, this.#maxOpenMs)
    this.#openedMs = this.#clock.monotonicMs()
    this.#openUntilMs = this.#openedMs + openMs * (1 - JITTER + 2 * JITTER * this.#random.next())
    this.#calls = 0
    this.#failures = 0
    this.#slows = 0
    this.#become('open')
  }

  #become(state: BreakerState): void {
    if (state !== 'half-open') this.#probeMs = undefined
    if (state === this.#state) return
    this.#state = state
    this.#onChange?.(state)
  }
}
