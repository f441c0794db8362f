// What all of a server's cached leaves have in common: one budget for answers, one for last known answers, the writer of keys, each
// endpoint's counts, and the tier shared with other processes.
import type { EndpointName, Platform } from '../../core/index.js'
import type { CachePolicy, LeafInput } from '../types.js'
import { EndpointCache, type SwitchOffRule, type UselessCache } from './endpoint-cache.js'
import type { Entry } from './entry.js'
import { KeyWriter } from './key.js'
import { LastKnown } from './last-known.js'
import { type CacheMetrics, createCacheMetrics } from './metrics.js'
import type { SharedTier } from './shared-tier.js'
import { TinyLfu } from './tiny-lfu.js'

export interface AnswerCacheOptions {
  readonly platform: Platform
  /** For answers; default 64 MiB. */
  readonly maxBytes?: number
  /** For last known answers; default 16 MiB. */
  readonly staleMaxBytes?: number
  readonly switchOff?: Partial<SwitchOffRule>
  /** Shared with other processes; closed with the cache. */
  readonly tier?: SharedTier | undefined
  /** An endpoint's requests do not repeat: its cache is to be switched off. Whoever decides so calls `switch`. */
  readonly onUseless?: (finding: UselessCache) => void
}

const MIB = 1024 * 1024

export class CacheCore {
  readonly platform: Platform
  readonly tier: SharedTier | undefined
  readonly policy: TinyLfu<Entry>
  readonly remembered: LastKnown
  /** Those that may hold answers. */
  readonly leaves = new Set<{ forget(endpoint: EndpointName): void }>()
  protected readonly endpoints = new Map<EndpointName, EndpointCache>()
  readonly #metrics: CacheMetrics
  readonly #rule: SwitchOffRule
  readonly #onUseless: (finding: UselessCache) => void
  readonly #keys = new KeyWriter()
  readonly #seed: number

  constructor(options: AnswerCacheOptions) {
    const { platform, maxBytes = 64 * MIB, staleMaxBytes = 16 * MIB, switchOff, tier, onUseless } = options
    this.platform = platform
    this.tier = tier
    this.#metrics = createCacheMetrics(platform.metrics)
    this.#rule = { hitRate: 0.05, minRequests: 1000, windowMs: 600_000, holdMs: 86_400_000, ...switchOff }
    this.#onUseless = onUseless ?? (() => undefined)
    this.#seed = platform.random.uint32()
    this.policy = new TinyLfu(maxBytes, platform.random, (entry) => {
      entry.entries.delete(entry.key)
      this.#metrics.evictions.inc()
    })
    this.remembered = new LastKnown(staleMaxBytes)
  }

  endpoint(name: EndpointName): EndpointCache {
    let endpoint = this.endpoints.get(name)
    if (endpoint === undefined) {
      endpoint = new EndpointCache(name, this.platform.clock, this.#metrics, this.#rule, this.#onUseless)
      this.endpoints.set(name, endpoint)
    }
    return endpoint
  }

  keyOf(policy: CachePolicy, input: LeafInput): string | undefined {
    return this.#keys.write(policy, input, this.#seed)
  }

  /** 32 bits of the key made last. */
  get lastHash(): number {
    return this.#keys.hash
  }

  showBytes(): void {
    this.#metrics.bytes.set(this.policy.bytes)
    this.#metrics.lastKnownBytes.set(this.remembered.bytes)
  }
}
