// Rates in a store that nodes share: Redis. Processes take their requests in blocks, so that it is asked a few dozen times a second for
// each busy key. While it is away, each node has its part of every rate.
import type { Clock, Logger } from '../../core/index.js'
import type { TokensTaken, TokensWanted } from '../../store/index.js'
import { answeredWithin, NoAnswerError } from './answered-within.js'
import type { RateBuckets } from './rate-buckets.js'
import type { RequestsGranted, RequestsWanted } from './types.js'

export interface SharedRatesOptions {
  readonly store: { takeTokens(key: string, wanted: TokensWanted): Promise<TokensTaken> }
  /** For when the store is away. */
  readonly local: RateBuckets
  readonly clock: Clock
  readonly logger: Logger
  /** How many nodes there are to share a rate with. */
  readonly countNodes: () => Promise<number>
}

const ANSWER_LIMIT_MS = 500
/** One that hangs is not asked again for so long. */
const HUNG_MS = 1000

export class SharedRates {
  #isAway = false
  #hungUntilMs = Number.NEGATIVE_INFINITY
  #nodes = 1

  constructor(private readonly options: SharedRatesOptions) {}

  async take(wanted: RequestsWanted): Promise<RequestsGranted> {
    const { store, clock } = this.options
    if (clock.monotonicMs() < this.#hungUntilMs) return this.#takeLocally(wanted)
    try {
      const { key, perSecond, burst, want } = wanted
      const asking = store.takeTokens(`rate:${key}`, { perSecond, burst, want })
      const granted = await answeredWithin(clock, ANSWER_LIMIT_MS, asking)
      this.#found()
      return granted
    } catch (error) {
      if (error instanceof NoAnswerError) this.#hungUntilMs = clock.monotonicMs() + HUNG_MS
      await this.#lost(error)
      return this.#takeLocally(wanted)
    }
  }

  #takeLocally({ key, perSecond, burst, want }: RequestsWanted): RequestsGranted {
    const nodes = this.#nodes
    const share = { key, perSecond: perSecond / nodes, burst: Math.max(1, burst / nodes), want }
    return this.options.local.take(share)
  }

  #found(): void {
    if (this.#isAway) this.options.logger.info({}, 'rates are counted together again')
    this.#isAway = false
  }

  async #lost(error: unknown): Promise<void> {
    if (this.#isAway) return
    this.#isAway = true
    const { clock, countNodes, logger } = this.options
    // The last number that was known will do.
    this.#nodes = await answeredWithin(clock, ANSWER_LIMIT_MS, countNodes()).catch(() => this.#nodes)
    logger.warn(
      { err: error, nodes: this.#nodes },
      'where rates are counted cannot be reached: each node lets in its part of every rate by itself',
    )
  }
}
