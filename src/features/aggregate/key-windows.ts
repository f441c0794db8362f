// One key's events, by tiles of a hop. An event is settled once `evict` has gone over it: no read cuts it off any more, so parts are all
// that its tile needs. Younger ones stay as they are, as do all of an `exact` view, whose windows begin in mid-tile.
import type { Value } from '../value.js'
import { Blocks, tileIndex } from './blocks.js'
import { countedEvent, type Layout } from './layout.js'
import type { Part } from './parts/part.js'
import { readState, type StoredState, type Written, writeState } from './stored-state.js'
import { noParts, Tile } from './tile.js'
import type { KeyState, WindowEvent } from './types.js'

export class KeyWindows implements KeyState, StoredState {
  /** In the order of time; none is empty. */
  tiles: Tile[] = []
  /** Event times of the ids that may come again. */
  ids = new Map<string, number>()
  evictedMs = Number.NEGATIVE_INFINITY
  private readonly blocks: Blocks
  /** By the last `serialize`. */
  private written: Written | undefined
  private idsSweptMs = Number.NEGATIVE_INFINITY

  constructor(readonly layout: Layout) {
    this.blocks = new Blocks(layout)
  }

  add(event: WindowEvent): 'added' | 'duplicate' | 'expired' {
    const { eventMs, id } = event
    if (id !== undefined) {
      const seenMs = this.ids.get(id)
      if (seenMs !== undefined && seenMs >= event.knownMs - this.layout.idsKeptMs) return 'duplicate'
    }
    const counted = countedEvent(this.layout, event)
    if (id !== undefined) this.ids.set(id, eventMs)
    if (eventMs < this.startMs(this.evictedMs, this.layout.windowsMs.at(-1)!)) return 'expired'
    this.tileOf(eventMs).add(counted, this.layout.isExact ? Number.NEGATIVE_INFINITY : this.evictedMs)
    this.blocks.add(counted)
    return 'added'
  }

  read(moment: number, into: Value[], offset: number): boolean {
    const atMs = Math.max(moment, this.evictedMs)
    if (!this.isKnown(atMs)) return false
    const { windowsMs, readings } = this.layout
    const merged = noParts(this.layout)
    let toMs = atMs
    for (let window = 0; window < windowsMs.length; window++) {
      // Each window is the shorter one and what lies before that.
      const fromMs = this.startMs(atMs, windowsMs[window]!)
      this.merge(merged, window, fromMs, toMs)
      toMs = fromMs
      for (const reading of readings[window]!) {
        const { aggregate } = reading
        merged[aggregate] ??= this.layout.aggregates[aggregate]!.reducer.create()
        into[offset + reading.feature] = reading.read(merged[aggregate], atMs)
      }
    }
    return true
  }

  evict(atMs: number): boolean {
    if (atMs > this.evictedMs) {
      const settledMs = this.evictedMs
      this.evictedMs = atMs
      const fromMs = this.startMs(atMs, this.layout.windowsMs.at(-1)!)
      this.dropBefore(fromMs)
      if (!this.layout.isExact) this.settle(settledMs, atMs)
    }
    this.sweepIds()
    return this.tiles.length === 0 && this.ids.size === 0
  }

  get newestEventMs(): number | undefined {
    return this.tiles.at(-1)?.newestMs
  }

  get sizeBytes(): number {
    let size = 300 + 110 * this.ids.size + this.blocks.sizeBytes
    for (const tile of this.tiles) size += tile.sizeBytes
    return size
  }

  serialize(): Uint8Array {
    this.written = writeState(this.layout, this, this.written)
    return this.written.bytes
  }

  /** Throws FEATURE_STATE_CORRUPT. */
  static parse(layout: Layout, bytes: Uint8Array): KeyWindows {
    const state = new KeyWindows(layout)
    const { evictedMs, ids, tiles } = readState(layout, bytes)
    state.evictedMs = evictedMs
    state.ids = ids
    state.tiles = tiles
    return state
  }

  mergedWith(stream: KeyWindows, seamMs: number): KeyWindows {
    const merged = new KeyWindows(this.layout)
    merged.tiles = [
      ...this.tiles.slice(0, tileIndex(this.tiles, seamMs)),
      ...stream.tiles.slice(tileIndex(stream.tiles, seamMs)),
    ]
    for (const ids of [this.ids, stream.ids]) {
      for (const [id, eventMs] of ids) merged.ids.set(id, Math.max(eventMs, merged.ids.get(id) ?? eventMs))
    }
    // Until either of them was evicted it may hold raw what the other has settled.
    merged.evictedMs = Math.min(this.evictedMs, stream.evictedMs)
    merged.evict(Math.max(this.evictedMs, stream.evictedMs))
    return merged
  }

  private startMs(atMs: number, windowMs: number): number {
    const startMs = atMs - windowMs
    return this.layout.isExact ? startMs : Math.floor(startMs / this.layout.hopMs) * this.layout.hopMs
  }

  /** Tiles from `index` on are no longer as they were written. */
  private changesFrom(index: number): void {
    if (this.written !== undefined && this.written.same > index) this.written.same = index
  }

  /** To be changed. */
  private tileOf(eventMs: number): Tile {
    const startMs = Math.floor(eventMs / this.layout.hopMs) * this.layout.hopMs
    const newest = this.tiles.at(-1)
    if (newest !== undefined && newest.startMs === startMs) {
      this.changesFrom(this.tiles.length - 1)
      return newest
    }
    const index = newest === undefined || newest.startMs < startMs ? this.tiles.length : tileIndex(this.tiles, startMs)
    this.changesFrom(index)
    const known = this.tiles[index]
    if (known?.startMs === startMs) return known
    const tile = new Tile(this.layout, startMs)
    this.tiles.splice(index, 0, tile)
    return tile
  }

  private isKnown(atMs: number): boolean {
    const fromMs = this.startMs(atMs, this.layout.windowsMs.at(-1)!)
    for (let index = this.tiles.length - 1; index >= 0; index--) {
      const tile = this.tiles[index]!
      if (tile.newestMs < fromMs) continue
      if (tile.startMs + this.layout.hopMs <= fromMs) return false
      if (tile.startMs < atMs && tile.hasEventIn(fromMs, atMs)) return true
    }
    return false
  }

  private merge(into: (Part | undefined)[], window: number, fromMs: number, toMs: number): void {
    const { hopMs } = this.layout
    let atMs = fromMs
    let index = tileIndex(this.tiles, Math.floor(fromMs / hopMs) * hopMs)
    while (atMs < toMs) {
      const tile = this.tiles[index]
      if (tile === undefined || tile.startMs >= toMs) return
      const blockEndMs = this.blocks.mergeInto(into, window, this.tiles, index, atMs, toMs)
      if (blockEndMs !== undefined) {
        atMs = blockEndMs
        index = tileIndex(this.tiles, atMs)
      } else {
        tile.mergeInto(into, window, fromMs, toMs)
        atMs = tile.startMs + hopMs
        index++
      }
    }
  }

  private dropBefore(fromMs: number): void {
    const { hopMs, isExact } = this.layout
    const first = tileIndex(this.tiles, Math.floor(fromMs / hopMs) * hopMs)
    if (first > 0) {
      this.tiles.splice(0, first)
      if (this.written !== undefined) {
        this.written.dropped += first
        this.written.same = Math.max(0, this.written.same - first)
      }
    }
    const oldest = this.tiles[0]
    if (isExact && oldest !== undefined && oldest.startMs < fromMs) {
      this.changesFrom(0)
      oldest.dropBefore(fromMs)
      if (oldest.raw.length === 0) this.tiles.shift()
    }
    this.blocks.dropBefore(fromMs)
  }

  private settle(settledMs: number, untilMs: number): void {
    for (let index = this.tiles.length - 1; index >= 0; index--) {
      const tile = this.tiles[index]!
      if (tile.startMs + this.layout.hopMs <= settledMs) return
      if (tile.startMs < untilMs && tile.settle(untilMs)) this.changesFrom(index)
    }
  }

  /** All of them are looked at only now and then; an id that is kept for longer than needed changes nothing. */
  private sweepIds(): void {
    const { idsKeptMs } = this.layout
    const isDue = this.evictedMs - this.idsSweptMs > idsKeptMs / 4
    if (this.ids.size === 0 || (!isDue && this.tiles.length > 0)) return
    this.idsSweptMs = this.evictedMs
    for (const [id, eventMs] of this.ids) if (eventMs < this.evictedMs - idsKeptMs) this.ids.delete(id)
  }
}
