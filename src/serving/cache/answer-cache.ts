// The cache of a server, as those who build and ask it see it. Each version's leaf is put behind it with `front`.
import type { EndpointName, VersionRef } from '../../core/index.js'
import type { TensorMap } from '../../tensor/index.js'
import type { VersionStatistics } from '../statistics.js'
import type {
  CachePolicy,
  LastKnownAnswer,
  LeafCache,
  LeafInput,
  PooledLeaf,
  PredictionCache,
  VersionIdentity,
} from '../types.js'
import { CacheCore } from './cache-core.js'
import { CachedLeaf } from './cached-leaf.js'
import { keepAnswer, keptBytes } from './kept-answer.js'
import { Remembered } from './last-known.js'

export class AnswerCache extends CacheCore implements PredictionCache, LeafCache {
  front(inner: PooledLeaf, identity: VersionIdentity, statistics: VersionStatistics): PooledLeaf {
    return new CachedLeaf(this, inner, identity, statistics)
  }

  lastKnown(policy: CachePolicy, input: LeafInput, maxAgeMs = policy.staleMs): LastKnownAnswer | undefined {
    const key = this.keyOf(policy, input)
    if (key === undefined) return undefined
    const nowMs = this.platform.clock.monotonicMs()
    const found = this.remembered.get(policy.endpoint, key, Math.min(maxAgeMs, policy.staleMs), nowMs)
    return found && { outputs: found.outputs, ageMs: nowMs - found.computedMs, version: found.version }
  }

  remember(policy: CachePolicy, input: LeafInput, outputs: TensorMap, version: VersionRef): void {
    if (policy.staleMs === 0 || !this.isOn(policy.endpoint)) return
    const key = this.keyOf(policy, input)
    if (key === undefined) return
    const sizeBytes = keptBytes(outputs, key)
    if (sizeBytes > this.remembered.maxBytes) return
    const nowMs = this.platform.clock.monotonicMs()
    this.remembered.put(new Remembered(policy.endpoint, key, sizeBytes, keepAnswer(outputs), version, nowMs))
    this.showBytes()
  }

  /** Whether an endpoint's requests are looked up. */
  isOn(endpoint: EndpointName): boolean {
    return this.endpoints.get(endpoint)?.isOn ?? true
  }

  /** Share of an endpoint's recent requests that asked no model; undefined when nothing is known. */
  hitRate(endpoint: EndpointName): number | undefined {
    return this.endpoints.get(endpoint)?.hitRate
  }

  /** Switches caching of an endpoint on or off; off drops what is kept for it. */
  switch(name: EndpointName, isOn: boolean): void {
    const endpoint = this.endpoint(name)
    if (endpoint.isOn === isOn) return
    endpoint.switch(isOn)
    if (isOn) return
    for (const leaf of this.leaves) leaf.forget(name)
    this.remembered.forget(name)
    this.showBytes()
  }

  /** Endpoints that are not looked up. */
  switchedOff(): EndpointName[] {
    return [...this.endpoints].filter(([, { isOn }]) => !isOn).map(([name]) => name)
  }

  /** Closes the shared tier; leaves are closed by their pool. */
  async close(): Promise<void> {
    await this.tier?.close()
  }
}
