// What an endpoint answered a request last, whatever version answered: for when nobody can answer it now. Its own budget of bytes;
// the least recently used go first. It shares the answers' memory with the cache as long as both keep them.
import type { EndpointName, VersionRef } from '../../core/index.js'
import type { TensorMap } from '../../tensor/index.js'
import { CacheNode, Segment } from './node-list.js'

/** One remembered answer. */
export class Remembered extends CacheNode {
  constructor(
    readonly endpoint: EndpointName,
    readonly key: string,
    sizeBytes: number,
    readonly outputs: TensorMap,
    readonly version: VersionRef,
    /** Monotonic milliseconds. */
    readonly computedMs: number,
  ) {
    super(0, sizeBytes)
  }
}

const KEPT = 1

export class LastKnown {
  readonly maxBytes: number
  readonly #byEndpoint = new Map<EndpointName, Map<string, Remembered>>()
  readonly #used = new Segment(KEPT)

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#used.bytes
  }

  /** Keeps an answer in place of an older one, and does nothing with one that is older than what is there or too large. */
  put(remembered: Remembered): void {
    const { endpoint, key } = remembered
    const answers = this.#byEndpoint.get(endpoint) ?? new Map<string, Remembered>()
    const old = answers.get(key)
    if (old !== undefined && old.computedMs > remembered.computedMs) return
    if (old !== undefined) this.#drop(old)
    if (remembered.sizeBytes > this.maxBytes) return
    this.#byEndpoint.set(endpoint, answers.set(key, remembered))
    this.#used.push(remembered)
    while (this.#used.bytes > this.maxBytes) this.#drop(this.#used.last as Remembered)
  }

  /** An answer is still being given out. */
  touch(remembered: Remembered): void {
    if (remembered.segment === KEPT) this.#used.toFront(remembered)
  }

  /** One at most `maxAgeMs` old. */
  get(endpoint: EndpointName, key: string, maxAgeMs: number, nowMs: number): Remembered | undefined {
    const found = this.#byEndpoint.get(endpoint)?.get(key)
    return found !== undefined && nowMs - found.computedMs <= maxAgeMs ? found : undefined
  }

  forget(endpoint: EndpointName): void {
    for (const remembered of this.#byEndpoint.get(endpoint)?.values() ?? []) this.#used.remove(remembered)
    this.#byEndpoint.delete(endpoint)
  }

  #drop(remembered: Remembered): void {
    this.#used.remove(remembered)
    const answers = this.#byEndpoint.get(remembered.endpoint)
    answers?.delete(remembered.key)
    if (answers?.size === 0) this.#byEndpoint.delete(remembered.endpoint)
  }
}
