// The answers of one version to one endpoint: looked up, computed, kept, renewed before they expire.
import type { Clock } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { TensorMap } from '../../tensor/index.js'
import { isDue } from '../alarm.js'
import type { VersionStatistics } from '../statistics.js'
import type { CachePolicy, Leaf, LeafInput, LeafResult, VersionIdentity } from '../types.js'
import type { CacheCore } from './cache-core.js'
import { decodeAnswer, encodeAnswer } from './encode-answer.js'
import type { EndpointCache } from './endpoint-cache.js'
import { Entry } from './entry.js'
import type { Flight } from './flight.js'
import { Flights } from './flights.js'
import { keepAnswer, keptBytes } from './kept-answer.js'
import { sharedKey } from './key.js'
import { Remembered } from './last-known.js'

/** The logarithm of a random number above 0 is -37 at most: longer than so many costs before its end, nothing is renewed. */
const NEVER_RENEWED = 37

export class Shelf {
  readonly flights: Flights
  readonly #cache: CacheCore
  readonly #inner: Leaf
  readonly #identity: VersionIdentity
  readonly #statistics: VersionStatistics
  readonly #endpoint: EndpointCache
  /** Stands for the version and the endpoint in keys that other processes share. */
  readonly #prefix: Uint8Array
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  #policy: CachePolicy
  #isClosed = false

  constructor(
    cache: CacheCore,
    inner: Leaf,
    identity: VersionIdentity,
    statistics: VersionStatistics,
    policy: CachePolicy,
    prefix: Uint8Array,
  ) {
    const { tier } = cache
    const { clock } = cache.platform
    this.#cache = cache
    this.#inner = inner
    this.#identity = identity
    this.#statistics = statistics
    this.#policy = policy
    this.#endpoint = cache.endpoint(policy.endpoint)
    this.#prefix = prefix
    this.#clock = clock
    this.flights = new Flights({
      version: identity.version,
      clock,
      inner,
      statistics,
      lookup: tier && ((key, waitMs) => tier.lookup(sharedKey(prefix, key), waitMs)),
      adopt: (flight, bytes) => this.#adopt(flight, bytes),
      asked: () => {
        this.#endpoint.asked(clock.monotonicMs())
        statistics.cacheMiss.count++
      },
      keep: (flight, result, costMs) => this.#keep(flight, result, costMs),
    })
  }

  call(input: LeafInput, policy: CachePolicy, deadline: Deadline): Promise<LeafResult> {
    const endpoint = this.#endpoint
    const arrivedMs = this.#clock.monotonicMs()
    const key = endpoint.isOn ? this.#cache.keyOf(policy, input) : undefined
    const nowMs = this.#clock.monotonicMs()
    // What is late is refused by the leaf behind, and counted there.
    if (key === undefined || isDue(deadline.atMs, nowMs)) {
      endpoint.bypassed.inc()
      return this.#inner.call(input, deadline)
    }
    this.#policy = policy
    const entry = this.#entries.get(key)
    if (entry !== undefined && entry.expiresMs > nowMs) {
      this.#statistics.hit(nowMs - arrivedMs)
      return this.#hit(entry, input, nowMs)
    }
    const hash = this.#cache.lastHash
    if (entry !== undefined) this.#drop(entry)
    this.#cache.policy.miss(hash)
    if (this.flights.has(key)) endpoint.joined()
    else this.#statistics.cacheMiss.add(0, nowMs - arrivedMs)
    return this.flights.call(key, hash, input, deadline)
  }

  #hit(entry: Entry, input: LeafInput, nowMs: number): Promise<LeafResult> {
    this.#cache.policy.touch(entry)
    if (entry.remembered !== undefined) this.#cache.remembered.touch(entry.remembered)
    else if (input.feedsLastKnown !== false && this.#policy.staleMs > 0)
      entry.remembered = this.#remember(entry.key, entry.sizeBytes, entry.outputs, entry.computedMs)
    if (this.#isRenewalDue(entry, nowMs) && !this.flights.has(entry.key)) {
      this.#endpoint.renewed()
      const deadline = Deadline.in(this.#clock, this.#identity.manifest.timeoutMs)
      this.flights.refresh(entry.key, entry.hash, input, deadline)
    } else this.#endpoint.hit()
    return entry.answer
  }

  /** Drops everything and gives its memory back. */
  clear(): void {
    for (const entry of this.#entries.values()) this.#cache.policy.remove(entry)
    this.#entries.clear()
    this.#cache.showBytes()
  }

  /** Nothing is kept from now on; what is in flight is still answered. */
  close(): void {
    this.#isClosed = true
    this.clear()
  }

  /** XFetch: the nearer the end and the dearer the answer, the likelier (Vattani, Chierichetti, Lowenstein 2015; beta = 1). */
  #isRenewalDue({ expiresMs, costMs }: Entry, nowMs: number): boolean {
    const leftMs = expiresMs - nowMs
    if (leftMs > NEVER_RENEWED * costMs) return false
    return -costMs * Math.log(1 - this.#cache.platform.random.next()) >= leftMs
  }

  #keep(flight: Flight, { outputs }: LeafResult, costMs: number): void {
    const { ttlMs } = this.#policy
    this.#put(flight, outputs, costMs, 0, ttlMs)
    const { tier } = this.#cache
    if (tier === undefined) return
    const nowMs = this.#clock.nowMs()
    const bytes = encodeAnswer({ outputs, computedAtMs: nowMs, expiresAtMs: nowMs + ttlMs, costMs })
    if (flight.publish !== undefined) flight.publish(bytes, ttlMs)
    else if (flight.isRefresh) tier.store(sharedKey(this.#prefix, flight.key), bytes, ttlMs)
  }

  /** Another process's answer. Its times are by another clock: they are believed as far as this endpoint's policy goes. */
  #adopt(flight: Flight, bytes: Uint8Array): TensorMap | undefined {
    const stored = decodeAnswer(bytes)
    if (stored === undefined) return undefined
    const nowMs = this.#clock.nowMs()
    const leftMs = Math.min(stored.expiresAtMs - nowMs, this.#policy.ttlMs)
    if (!(leftMs > 0)) return undefined
    this.#endpoint.hit()
    this.#put(flight, stored.outputs, stored.costMs, Math.max(0, nowMs - stored.computedAtMs), leftMs)
    return stored.outputs
  }

  #put({ key, hash, feedsLastKnown }: Flight, outputs: TensorMap, costMs: number, ageMs: number, leftMs: number): void {
    if (this.#isClosed || !this.#endpoint.isOn) return
    const { policy, remembered } = this.#cache
    const sizeBytes = keptBytes(outputs, key)
    const isRemembered = feedsLastKnown && this.#policy.staleMs > 0 && sizeBytes <= remembered.maxBytes
    if (sizeBytes > policy.maxBytes && !isRemembered) return
    const kept = keepAnswer(outputs)
    const nowMs = this.#clock.monotonicMs()
    const computedMs = nowMs - ageMs
    const memory = isRemembered ? this.#remember(key, sizeBytes, kept, computedMs) : undefined
    const old = this.#entries.get(key)
    if (old !== undefined) this.#drop(old)
    if (sizeBytes <= policy.maxBytes) {
      const entry = new Entry(this.#entries, key, hash, sizeBytes, kept, computedMs, nowMs + leftMs, costMs, memory)
      this.#entries.set(key, entry)
      policy.add(entry)
    }
    this.#cache.showBytes()
  }

  #remember(key: string, sizeBytes: number, outputs: TensorMap, computedMs: number): Remembered {
    const { endpoint } = this.#policy
    const memory = new Remembered(endpoint, key, sizeBytes, outputs, this.#identity.version, computedMs)
    this.#cache.remembered.put(memory)
    return memory
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.key)
    this.#cache.policy.remove(entry)
  }
}
