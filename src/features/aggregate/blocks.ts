// Tiles merged by 16, 256, …, so that a long window is read from a few parts. Made when a read first wants one, and kept up to date by
// late events; not stored.
import { addTo, type Layout, mergeInto } from './layout.js'
import type { CountedEvent, Part } from './parts/part.js'
import { noParts, partsBytes, type Tile } from './tile.js'

const RADIX = 16
/** A block of fewer tiles is not worth its memory. */
const LEAST_TILES = 4

type Parts = (Part | undefined)[]

export class Blocks {
  /** By level, the first being blocks of 16 tiles: parts by the block's start. */
  private readonly levels: { readonly lengthMs: number; readonly blocks: Map<number, Parts> }[] = []
  private throughMs = Number.NEGATIVE_INFINITY

  constructor(readonly layout: Layout) {
    const longestMs = layout.windowsMs.at(-1)!
    for (let lengthMs = layout.hopMs * RADIX; lengthMs <= longestMs; lengthMs *= RADIX) {
      this.levels.push({ lengthMs, blocks: new Map() })
    }
  }

  /** An event that was added to a tile, which may be under blocks. */
  add(event: CountedEvent): void {
    if (event.eventMs >= this.throughMs) return
    for (const { lengthMs, blocks } of this.levels) {
      const parts = blocks.get(Math.floor(event.eventMs / lengthMs) * lengthMs)
      if (parts !== undefined) addTo(this.layout, parts, event)
    }
  }

  dropBefore(fromMs: number): void {
    for (const { blocks } of this.levels)
      for (const startMs of blocks.keys()) if (startMs < fromMs) blocks.delete(startMs)
  }

  clear(): void {
    for (const { blocks } of this.levels) blocks.clear()
    this.throughMs = Number.NEGATIVE_INFINITY
  }

  /**
   * Merges the largest block, of the lowest `levels` levels, that begins at `fromMs` or later, ends at `toMs` or sooner and holds the tile
   * at `index`; returns its end, or undefined when only the tile itself will do.
   */
  mergeInto(
    into: Parts,
    window: number,
    tiles: readonly Tile[],
    index: number,
    fromMs: number,
    toMs: number,
    levels = this.levels.length,
  ): number | undefined {
    const last = tiles[index + LEAST_TILES - 1]
    if (last === undefined) return undefined
    const { startMs } = tiles[index]!
    for (let level = levels - 1; level >= 0; level--) {
      const { lengthMs } = this.levels[level]!
      const blockMs = Math.floor(startMs / lengthMs) * lengthMs
      const endMs = blockMs + lengthMs
      if (blockMs < fromMs || endMs > toMs || last.startMs >= endMs) continue
      mergeInto(this.layout, into, this.block(level, blockMs, tiles), window)
      return endMs
    }
    return undefined
  }

  get sizeBytes(): number {
    let size = 0
    for (const { blocks } of this.levels) for (const parts of blocks.values()) size += 80 + partsBytes(parts)
    return size
  }

  private block(level: number, startMs: number, tiles: readonly Tile[]): Parts {
    const { lengthMs, blocks } = this.levels[level]!
    const known = blocks.get(startMs)
    if (known !== undefined) return known
    const endMs = startMs + lengthMs
    const parts = noParts(this.layout)
    let atMs = startMs
    for (let index = tileIndex(tiles, atMs); index < tiles.length; index = tileIndex(tiles, atMs)) {
      const tile = tiles[index]!
      if (tile.startMs >= endMs) break
      // Window 0: a block serves windows of every length.
      const below = this.mergeInto(parts, 0, tiles, index, atMs, endMs, level)
      if (below === undefined) tile.mergeInto(parts, 0, tile.startMs, endMs)
      atMs = below ?? tile.startMs + this.layout.hopMs
    }
    blocks.set(startMs, parts)
    this.throughMs = Math.max(this.throughMs, endMs)
    return parts
  }
}

/** Of the first tile that starts at `fromMs` or later. */
export function tileIndex(tiles: readonly Tile[], fromMs: number): number {
  let low = 0
  let high = tiles.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (tiles[middle]!.startMs < fromMs) low = middle + 1
    else high = middle
  }
  return low
}
