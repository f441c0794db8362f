// The cache of a server: one budget for the answers of all versions and endpoints, one for the last known ones, and the tier that
// is shared with other processes. Each version's leaf is put behind it with `front`.
import type { EndpointName, Platform } from '../../core/index.js'
import type { PooledLeaf } from '../leaf.js'
import type { CachePolicy, LastKnownAnswer, LeafInput, PredictionCache } from '../types.js'
import { CachedLeaf, type VersionIdentity } from './cached-leaf.js'
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

export class AnswerCache implements PredictionCache {
  readonly platform: Platform
  readonly tier: SharedTier | undefined
  readonly policy: TinyLfu<Entry>
  readonly remembered: LastKnown
  readonly #metrics: CacheMetrics
  readonly #rule: SwitchOffRule
  readonly #onUseless: (finding: UselessCache) => void
  readonly #keys = new KeyWriter()
  readonly #seed: number
  readonly #endpoints = new Map<EndpointName, EndpointCache>()
  readonly #leaves = new Set<CachedLeaf>()

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

  /** Puts a leaf behind the cache. Closing it drops its answers. */
  front(inner: PooledLeaf, identity: VersionIdentity): PooledLeaf {
    return new CachedLeaf(this, inner, identity)
  }

  /** A leaf has answers to keep. */
  enlist(leaf: CachedLeaf): void {
    this.#leaves.add(leaf)
  }

  retire(leaf: CachedLeaf): void {
    this.#leaves.delete(leaf)
  }

  lastKnown(policy: CachePolicy, input: LeafInput, maxAgeMs = policy.staleMs): LastKnownAnswer | undefined {
    const key = this.keyOf(policy, input)
    if (key === undefined) return undefined
    const nowMs = this.platform.clock.monotonicMs()
    const found = this.remembered.get(policy.endpoint, key, Math.min(maxAgeMs, policy.staleMs), nowMs)
    return found && { outputs: found.outputs, ageMs: nowMs - found.computedMs, version: found.version }
  }

  /** Whether an endpoint's requests are looked up. */
  isOn(endpoint: EndpointName): boolean {
    return this.#endpoints.get(endpoint)?.isOn ?? true
  }

  /** Share of an endpoint's recent requests that asked no model; undefined when nothing is known. */
  hitRate(endpoint: EndpointName): number | undefined {
    return this.#endpoints.get(endpoint)?.hitRate
  }

  /** Switches caching of an endpoint on or off; off drops what is kept for it. */
  switch(endpoint: EndpointName, isOn: boolean): void {
    const state = this.endpoint(endpoint)
    if (state.isOn === isOn) return
    state.switch(isOn)
    if (isOn) return
    for (const leaf of this.#leaves) leaf.forget(endpoint)
    this.remembered.forget(endpoint)
    this.showBytes()
  }

  /** Endpoints that are not looked up. */
  switchedOff(): EndpointName[] {
    return [...this.#endpoints].filter(([, { isOn }]) => !isOn).map(([name]) => name)
  }

  /** Closes the shared tier; leaves are closed by their pool. */
  async close(): Promise<void> {
    await this.tier?.close()
  }

  endpoint(name: EndpointName): EndpointCache {
    let endpoint = this.#endpoints.get(name)
    if (endpoint === undefined) {
      endpoint = new EndpointCache(name, this.platform.clock, this.#metrics, this.#rule, this.#onUseless)
      this.#endpoints.set(name, endpoint)
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
