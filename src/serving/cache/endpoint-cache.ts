// An endpoint's side of the cache, whatever versions answer it: whether caching is on, what became of its requests, and when it is
// plain that they do not repeat.
import type { Clock, Counter, EndpointName } from '../../core/index.js'
import type { CacheMetrics } from './metrics.js'

/** When caching an endpoint is given up. */
export interface SwitchOffRule {
  /** Share of requests, 0 to 1, that must be answered without asking a model; 0 never gives up. Default 0.05. */
  readonly hitRate: number
  /** Requests that must have been seen; default 1,000. */
  readonly minRequests: number
  /** How long they must have been watched; default 600,000. */
  readonly windowMs: number
  /** How long an endpoint is left alone after it was switched on; default 86,400,000. */
  readonly holdMs: number
}

/** Why an endpoint's cache is to be switched off. */
export interface UselessCache {
  readonly endpoint: EndpointName
  readonly hitRate: number
  readonly requests: number
  readonly windowMs: number
  /** The rate it had to reach. */
  readonly leastHitRate: number
}

export class EndpointCache {
  readonly #name: EndpointName
  readonly #clock: Clock
  readonly #rule: SwitchOffRule
  readonly #useless: (finding: UselessCache) => void
  readonly bypassed: Counter
  readonly #hits: Counter
  readonly #renewals: Counter
  readonly #joins: Counter
  readonly #runs: Counter
  #isOn = true
  /** Of the present window: requests answered without asking a model, and those for which one was asked. */
  #served = 0
  #asked = 0
  #sinceMs: number
  /** Of the window before. */
  #lastHitRate: number | undefined = undefined
  #heldUntilMs = Number.NEGATIVE_INFINITY

  constructor(
    name: EndpointName,
    clock: Clock,
    { requests }: CacheMetrics,
    rule: SwitchOffRule,
    useless: (finding: UselessCache) => void,
  ) {
    this.#name = name
    this.#clock = clock
    this.#rule = rule
    this.#useless = useless
    this.#hits = requests.with(name, 'hit')
    this.#renewals = requests.with(name, 'refresh')
    this.#joins = requests.with(name, 'coalesced')
    this.#runs = requests.with(name, 'miss')
    this.bypassed = requests.with(name, 'bypass')
    this.#sinceMs = clock.monotonicMs()
  }

  get isOn(): boolean {
    return this.#isOn
  }

  /** Of the present window when it has enough requests, else of the one before, else of what there is. */
  get hitRate(): number | undefined {
    const requests = this.#served + this.#asked
    if (requests < this.#rule.minRequests && this.#lastHitRate !== undefined) return this.#lastHitRate
    return requests === 0 ? undefined : this.#served / requests
  }

  switch(isOn: boolean): void {
    const nowMs = this.#clock.monotonicMs()
    this.#isOn = isOn
    if (isOn) this.#heldUntilMs = nowMs + this.#rule.holdMs
    this.#lastHitRate = undefined
    this.#beginWindow(nowMs)
  }

  hit(): void {
    this.#served++
    this.#hits.inc()
  }

  /** A hit whose answer is renewed meanwhile. */
  renewed(): void {
    this.#served++
    this.#renewals.inc()
  }

  /** A request waits for the answer to another. */
  joined(): void {
    this.#served++
    this.#joins.inc()
  }

  /** A model is asked. Windows end here and not at hits, which must be cheap: without misses there is nothing to find. */
  asked(nowMs: number): void {
    this.#asked++
    this.#runs.inc()
    const { hitRate: leastHitRate, minRequests, windowMs } = this.#rule
    const watchedMs = nowMs - this.#sinceMs
    const requests = this.#served + this.#asked
    if (watchedMs < windowMs || requests < minRequests) return
    const hitRate = this.#served / requests
    this.#lastHitRate = hitRate
    this.#beginWindow(nowMs)
    if (hitRate >= leastHitRate || nowMs < this.#heldUntilMs) return
    this.#useless({ endpoint: this.#name, hitRate, requests, windowMs: Math.round(watchedMs), leastHitRate })
  }

  #beginWindow(nowMs: number): void {
    this.#sinceMs = nowMs
    this.#served = 0
    this.#asked = 0
  }
}
