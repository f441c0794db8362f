// Which entries to keep within a budget of bytes: W-TinyLFU (Einziger, Friedman, Manes 2017). New entries pass through a small
// window; leaving it, one is admitted to the main part only if it was asked for more often lately than what must go for it.
// The main part is a segmented LRU. The window's share follows the traffic by hill climbing (Einziger et al. 2018).
//
// Departure from the papers' equal sizes: a large candidate competes with the sum of all it would push out, as in
// "Lightweight robust size aware cache management" (2021).
import type { Random } from '../../core/index.js'
import { FrequencySketch } from './frequency-sketch.js'
import { type CacheNode, NOWHERE, Segment } from './node-list.js'

const WINDOW = 1
const PROBATION = 2
const PROTECTED = 3

const FIRST_WINDOW_SHARE = 0.01
const MAX_WINDOW_SHARE = 0.95
const PROTECTED_SHARE = 0.8
/**
 * Of the climber: requests per step, for each entry and at least; the first step, its decay, and the change that begins anew.
 * Shorter samples and longer steps than Caffeine's (10, 0.0625, 0.98, 0.05), which follow traffic that turns to recent keys too
 * late: 0.70 instead of 0.39 hits there, 0.63 instead of 0.64 for Zipf 0.9 (bench/cache, 8,000 entries, 22 November 2026).
 */
const SAMPLE_PER_ENTRY = 2
const LEAST_SAMPLE = 5000
const STEP_SHARE = 0.125
const STEP_DECAY = 0.95
const RESTART_CHANGE = 0.03
/** A candidate this frequent is let in by chance although its victim seems more so: else one could be kept out by forged keys. */
const CHANCE_FREQUENCY = 6
const CHANCE = 1 / 128

export class TinyLfu<N extends CacheNode> {
  readonly maxBytes: number
  readonly #random: Random
  readonly #evicted: (node: N) => void
  readonly #sketch = new FrequencySketch()
  readonly #lists: readonly [Segment, Segment, Segment, Segment] = [
    new Segment(NOWHERE),
    new Segment(WINDOW),
    new Segment(PROBATION),
    new Segment(PROTECTED),
  ]
  #entries = 0
  #bytes = 0
  #maxWindowBytes: number
  #maxProtectedBytes: number

  #requests = 0
  #hits = 0
  #lastHitRate = 0
  #stepBytes: number

  /** `evicted` is told of entries that go for lack of room, not of those removed. */
  constructor(maxBytes: number, random: Random, evicted: (node: N) => void) {
    this.maxBytes = maxBytes
    this.#random = random
    this.#evicted = evicted
    this.#maxWindowBytes = Math.floor(maxBytes * FIRST_WINDOW_SHARE)
    this.#maxProtectedBytes = Math.floor((maxBytes - this.#maxWindowBytes) * PROTECTED_SHARE)
    this.#stepBytes = maxBytes * STEP_SHARE
  }

  get bytes(): number {
    return this.#bytes
  }

  get entries(): number {
    return this.#entries
  }

  /** Bytes that new entries have for themselves at the moment. */
  get maxWindowBytes(): number {
    return this.#maxWindowBytes
  }

  /** An entry was asked for and is there. */
  touch(node: N): void {
    this.#sketch.increment(node.hash)
    this.#hits++
    this.#countRequest()
    const segment = this.#lists[node.segment as 1 | 2 | 3]
    if (node.segment !== PROBATION) {
      segment.toFront(node)
      return
    }
    segment.remove(node)
    const kept = this.#lists[PROTECTED]
    kept.push(node)
    while (kept.bytes > this.#maxProtectedBytes) this.#lists[PROBATION].push(kept.removeLast())
  }

  /** Something was asked for and is not there. */
  miss(hash: number): void {
    this.#sketch.increment(hash)
    this.#countRequest()
  }

  /** Adds an entry, which may be the one evicted for it. */
  add(node: N): void {
    this.#entries++
    this.#bytes += node.sizeBytes
    this.#sketch.grow(this.#entries)
    // Larger than the window: letting it in would only push everything else out of there.
    if (node.sizeBytes > this.#maxWindowBytes) {
      this.#admit(node)
      return
    }
    const window = this.#lists[WINDOW]
    window.push(node)
    while (window.bytes > this.#maxWindowBytes) this.#admit(window.removeLast() as N)
  }

  remove(node: N): void {
    if (node.segment === NOWHERE) return
    this.#lists[node.segment as 1 | 2 | 3].remove(node)
    this.#forget(node)
  }

  #forget(node: N): void {
    this.#entries--
    this.#bytes -= node.sizeBytes
  }

  /** Where a candidate from the window goes: to the main part in place of what is asked for less, or out. */
  #admit(candidate: N): void {
    if (this.#beats(candidate)) {
      this.#lists[PROBATION].push(candidate)
      this.#fitMain()
    } else this.#evict(candidate)
  }

  #evict(node: N): void {
    this.#forget(node)
    this.#evicted(node)
  }

  #fitMain(): void {
    const [, , probation, kept] = this.#lists
    // The newest of probation is the candidate that just won.
    while (this.#mainOverflow() > 0) this.#evict((probation.hasMoreThanOne ? probation : kept).removeLast() as N)
  }

  /** Bytes by which the main part is above its share. */
  #mainOverflow(): number {
    return this.#lists[PROBATION].bytes + this.#lists[PROTECTED].bytes - (this.maxBytes - this.#maxWindowBytes)
  }

  #beats(candidate: N): boolean {
    const neededBytes = this.#mainOverflow() + candidate.sizeBytes
    if (neededBytes <= 0) return true
    if (candidate.sizeBytes > this.maxBytes - this.#maxWindowBytes) return false
    const frequency = this.#sketch.frequency(candidate.hash)
    let rivals = 0
    let freedBytes = 0
    for (const segment of [this.#lists[PROBATION], this.#lists[PROTECTED]]) {
      for (let victim = segment.last; victim !== segment.end; victim = victim.previous) {
        rivals += this.#sketch.frequency(victim.hash)
        freedBytes += victim.sizeBytes
        if (rivals >= frequency) return frequency >= CHANCE_FREQUENCY && this.#random.next() < CHANCE
        if (freedBytes >= neededBytes) return true
      }
    }
    return true
  }

  #countRequest(): void {
    if (++this.#requests >= Math.max(LEAST_SAMPLE, SAMPLE_PER_ENTRY * this.#entries)) this.#climb()
  }

  /** Goes on in the direction in which the hit rate rose, and turns round when it fell. */
  #climb(): void {
    const hitRate = this.#hits / this.#requests
    const change = hitRate - this.#lastHitRate
    const step = change >= 0 ? this.#stepBytes : -this.#stepBytes
    this.#stepBytes =
      Math.abs(change) >= RESTART_CHANGE ? Math.sign(step) * this.maxBytes * STEP_SHARE : step * STEP_DECAY
    this.#lastHitRate = hitRate
    this.#requests = 0
    this.#hits = 0
    if (this.#bytes >= this.maxBytes / 2) this.#moveWindow(step)
  }

  #moveWindow(stepBytes: number): void {
    const least = Math.floor(this.maxBytes * FIRST_WINDOW_SHARE)
    const most = Math.floor(this.maxBytes * MAX_WINDOW_SHARE)
    this.#maxWindowBytes = Math.min(most, Math.max(least, Math.floor(this.#maxWindowBytes + stepBytes)))
    this.#maxProtectedBytes = Math.floor((this.maxBytes - this.#maxWindowBytes) * PROTECTED_SHARE)
    const [, window, probation, kept] = this.#lists
    while (kept.bytes > this.#maxProtectedBytes) probation.push(kept.removeLast())
    while (window.bytes > this.#maxWindowBytes) probation.push(window.removeLast())
    // A window that grew takes over what would be evicted first.
    while (!probation.isEmpty && window.bytes + probation.last.sizeBytes <= this.#maxWindowBytes)
      window.pushLast(probation.removeLast())
    while (this.#mainOverflow() > 0) this.#evict((probation.isEmpty ? kept : probation).removeLast() as N)
  }
}
