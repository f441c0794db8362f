// The second tier on a KeyValue: Redis, for servers that share answers. A request waits for it at most `timeoutMs`; after one
// lookup that failed or took longer, a breaker lets everybody pass by, and asks again now and then without making anybody wait.
import type { Platform } from '../../core/index.js'
import { Breaker } from '../../flow/index.js'
import type { KeyValue } from '../../store/index.js'
import { createSharedTierMetrics, type SharedTierMetrics } from './metrics.js'
import type { SharedAnswer, SharedTier } from './shared-tier.js'

export interface KeyValueTierOptions {
  readonly platform: Platform
  readonly store: KeyValue & { close?(): Promise<void> }
  /** In the metrics: `redis`. */
  readonly name: string
  /** Default 20. */
  readonly timeoutMs?: number
}

/** Of every key; what is stored under it is described in encode-answer.ts. */
const PREFIX = 'answer:1:'
const STATES = { closed: 0, 'half-open': 1, open: 2 } as const
const FORGET = (): void => undefined
const BYPASSED: SharedAnswer = { kind: 'lead', publish: FORGET }

export function createKeyValueTier(options: KeyValueTierOptions): SharedTier {
  return new KeyValueTier(options)
}

class KeyValueTier implements SharedTier {
  readonly #options: KeyValueTierOptions
  readonly #timeoutMs: number
  readonly #metrics: SharedTierMetrics
  readonly #breaker: Breaker

  constructor(options: KeyValueTierOptions) {
    const { clock, random, metrics, logger } = options.platform
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? 20
    this.#metrics = createSharedTierMetrics(metrics, options.name)
    this.#breaker = new Breaker({
      clock,
      random,
      windowCalls: 1,
      minCalls: 1,
      onChange: (state) => {
        this.#metrics.breaker.set(STATES[state])
        if (state === 'open')
          logger.warn(
            { tier: options.name, retryAfterMs: this.#breaker.retryAfterMs() },
            'the shared cache is bypassed',
          )
        else if (state === 'closed') logger.info({ tier: options.name }, 'the shared cache is used again')
      },
    })
  }

  async lookup(key: string): Promise<SharedAnswer> {
    const isProbe = this.#breaker.state !== 'closed'
    if (!this.#breaker.admits()) return BYPASSED
    const asked = this.#ask(key)
    if (isProbe) return BYPASSED
    const bytes = await asked
    if (bytes !== undefined) return { kind: 'hit', bytes }
    return { kind: 'lead', publish: (answer, ttlMs) => answer && this.store(key, answer, ttlMs) }
  }

  store(key: string, value: Uint8Array, ttlMs: number): void {
    // Probes are lookups: an answer is too large to be sent where it may not arrive.
    if (this.#breaker.state !== 'closed') return
    void this.#timed(this.#metrics.store, () => this.#options.store.setMany([{ key: PREFIX + key, value, ttlMs }]))
  }

  async close(): Promise<void> {
    await this.#options.store.close?.()
  }

  async #ask(key: string): Promise<Uint8Array | undefined> {
    const values = await this.#timed(this.#metrics.lookup, () => this.#options.store.getMany([PREFIX + key]))
    return values?.[0]
  }

  /** Undefined when it failed or took too long, which the breaker then knows. Never rejects. */
  async #timed<T>(histogram: SharedTierMetrics['lookup'], command: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.#options.platform
    const startedMs = clock.monotonicMs()
    const result = await within(clock, this.#timeoutMs, command).catch(() => TOO_LATE)
    const latencyMs = clock.monotonicMs() - startedMs
    histogram.observe(latencyMs / 1000)
    if (result !== TOO_LATE) {
      this.#breaker.succeeded(latencyMs)
      return result as T
    }
    this.#metrics.errors.inc()
    this.#breaker.failed(latencyMs)
    return undefined
  }
}

const TOO_LATE = Symbol('too late')

function within<T>(clock: Platform['clock'], limitMs: number, command: () => Promise<T>): Promise<T | typeof TOO_LATE> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => resolve(TOO_LATE))
    // Also when it ends too late: its rejection is then nobody's.
    command().then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
