// A version's leaf behind its answers: cache, then batch, then run. A hit is answered without a call and without allocating.
import { createHash } from 'node:crypto'
import type { EndpointName, VersionRef } from '../../core/index.js'
import type { Deadline } from '../../flow/index.js'
import type { VersionStatistics } from '../statistics.js'
import type { CachePolicy, LeafInput, LeafResult, PooledLeaf, VersionIdentity } from '../types.js'
import type { CacheCore } from './cache-core.js'
import { Shelf } from './shelf.js'

export class CachedLeaf implements PooledLeaf {
  readonly version: VersionRef
  readonly #cache: CacheCore
  readonly #inner: PooledLeaf
  readonly #identity: VersionIdentity
  readonly #statistics: VersionStatistics
  readonly #shelves = new Map<EndpointName, Shelf>()
  /** Of releases' arms, by endpoint and name. */
  readonly #partitions = new Map<string, Shelf>()
  #isClosed = false

  constructor(cache: CacheCore, inner: PooledLeaf, identity: VersionIdentity, statistics: VersionStatistics) {
    this.version = identity.version
    this.#cache = cache
    this.#inner = inner
    this.#identity = identity
    this.#statistics = statistics
  }

  call(input: LeafInput, deadline: Deadline): Promise<LeafResult> {
    const policy = input.cache
    if (policy === undefined || this.#isClosed) return this.#inner.call(input, deadline)
    const shelf =
      policy.partition === undefined
        ? (this.#shelves.get(policy.endpoint) ?? this.#addShelf(policy))
        : this.#partitionOf(policy, policy.partition)
    return shelf.call(input, policy, deadline)
  }

  expectedMs(rows: number): number | undefined {
    return this.#inner.expectedMs?.(rows)
  }

  get isLoading(): boolean {
    return this.#inner.isLoading === true
  }

  dropCancelled(): void {
    for (const shelf of this.#all()) shelf.flights.dropCancelled()
    this.#inner.dropCancelled()
  }

  /** Gives the memory of this version's answers back at once; calls in flight are answered, and kept no more. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cache.leaves.delete(this)
    const shelves = this.#all()
    for (const shelf of shelves) shelf.close()
    for (const { flights } of shelves) await flights.settle()
    await this.#inner.close()
  }

  /** Drops what is kept for an endpoint. */
  forget(endpoint: EndpointName): void {
    this.#shelves.get(endpoint)?.clear()
    for (const [name, shelf] of this.#partitions) {
      if (!name.startsWith(`${endpoint}/`)) continue
      shelf.clear()
      this.#partitions.delete(name)
    }
  }

  #all(): Shelf[] {
    return [...this.#shelves.values(), ...this.#partitions.values()]
  }

  #partitionOf(policy: CachePolicy, partition: string): Shelf {
    const name = `${policy.endpoint}/${partition}`
    const known = this.#partitions.get(name)
    if (known !== undefined) return known
    const shelf = this.#newShelf(policy)
    this.#partitions.set(name, shelf)
    return shelf
  }

  #addShelf(policy: CachePolicy): Shelf {
    const shelf = this.#newShelf(policy)
    this.#shelves.set(policy.endpoint, shelf)
    return shelf
  }

  #newShelf(policy: CachePolicy): Shelf {
    const { version, digest, kind, manifest } = this.#identity
    // What people read, and when a run is given up, change no answer.
    const { description: _, trained: __, warmup: ___, timeoutMs: ____, ...configuration } = manifest
    const { endpoint, partition } = policy
    const parts = [endpoint, version, digest, kind, configuration]
    const text = JSON.stringify(partition === undefined ? parts : [...parts, partition])
    const prefix = createHash('sha256').update(text).digest()
    const shelf = new Shelf(this.#cache, this.#inner, this.#identity, this.#statistics, policy, prefix)
    this.#cache.leaves.add(this)
    return shelf
  }
}
