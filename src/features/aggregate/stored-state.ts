// The stored form of a key's state, version 1: a head (version, 4 bytes of the view's fingerprint), the moment of the last eviction, ids,
// tiles with their raw events and parts, and 4 bytes of a hash over all of it. Blocks are made again when they are wanted.
import { murmur3 } from '../../stats/index.js'
import { ByteReader, BytesProblem, ByteWriter, orCorrupt } from './bytes.js'
import type { Layout } from './layout.js'
import type { CountedEvent } from './parts/part.js'
import { Tile } from './tile.js'

/** What is stored of a key. */
export interface StoredState {
  evictedMs: number
  readonly ids: Map<string, number>
  tiles: Tile[]
}

/**
 * What was written of a state, so that the next time the tiles that are still as they were are copied: to walk through the events of old
 * tiles takes ten times as long as to write the new ones.
 */
export interface Written {
  readonly bytes: Uint8Array
  /** Where the tiles begin, and where each of them ends. */
  readonly bounds: readonly number[]
  /** Tiles that have been dropped from the beginning since. */
  dropped: number
  /** How many of the tiles after those are as they were. */
  same: number
}

const VERSION = 1
const HASH_BYTES = 4
const hash = { high: 0, low: 0 }
/** Used again and again: it grows to the largest state. */
const writer = new ByteWriter()
const partsWriter = new ByteWriter()
const NO_PARTS = new Uint8Array(0)

export function writeState(layout: Layout, { evictedMs, ids, tiles }: StoredState, last?: Written): Written {
  const to = writer.clear()
  to.byte(VERSION)
  for (const byte of layout.fingerprint) to.byte(byte)
  to.number(evictedMs)
  to.count(ids.size)
  for (const [id, eventMs] of ids) {
    to.text(id)
    to.number(eventMs)
  }
  to.count(tiles.length)
  const bounds = [to.length]
  const same = last === undefined ? 0 : copyTiles(layout, tiles, last, bounds)
  // Times are small numbers relative to the tile, and tiles to the one before.
  let before = same === 0 ? 0 : tiles[same - 1]!.startMs / layout.hopMs
  for (let tileAt = same; tileAt < tiles.length; tileAt++) {
    const tile = tiles[tileAt]!
    const { startMs, newestMs, raw } = tile
    const index = startMs / layout.hopMs
    to.number(index - before)
    before = index
    to.number(newestMs - startMs)
    to.count(raw.length)
    for (let i = 0; i < raw.length; i++) writeEvent(to, layout, raw[i]!, startMs)
    to.bytes(tile.encodedParts(partsWriter) ?? NO_PARTS)
    bounds.push(to.length)
  }
  const body = to.written()
  const bytes = new Uint8Array(body.length + HASH_BYTES)
  bytes.set(body)
  murmur3(bytes, body.length, hash)
  new DataView(bytes.buffer).setUint32(body.length, hash.high)
  return { bytes, bounds, dropped: 0, same: tiles.length }
}

/** Writes the tiles that are as they were; says how many. The first was relative to one that may be gone. */
function copyTiles(layout: Layout, tiles: readonly Tile[], last: Written, into: number[]): number {
  const { bytes, bounds, dropped, same } = last
  if (same === 0) return 0
  let at = bounds[dropped]!
  while (bytes[at]! >= 128) at++
  at++
  writer.number(tiles[0]!.startMs / layout.hopMs)
  const shift = writer.length - at
  writer.put(bytes.subarray(at, bounds[dropped + same]!))
  for (let i = 1; i <= same; i++) into.push(bounds[dropped + i]! + shift)
  return same
}

function writeEvent(
  to: ByteWriter,
  layout: Layout,
  { eventMs, id, values, passed }: CountedEvent,
  startMs: number,
): void {
  to.number(eventMs - startMs)
  if (layout.needsIds) to.value(id ?? null)
  for (let i = 0; i < values.length; i++) to.value(values[i]!)
  if (passed !== undefined) for (let i = 0; i < passed.length; i++) to.byte(passed[i] === true ? 1 : 0)
}

/** Throws FEATURE_STATE_CORRUPT. */
export function readState(layout: Layout, bytes: Uint8Array): StoredState {
  return orCorrupt(layout.table, () => parsed(layout, bytes))
}

function parsed(layout: Layout, bytes: Uint8Array): StoredState {
  const bodyBytes = bytes.length - HASH_BYTES
  if (bodyBytes < 1) throw new BytesProblem('it is too short')
  if (bytes[0] !== VERSION)
    throw new BytesProblem(`it is of version ${bytes[0]}, and this program reads version ${VERSION}`)
  murmur3(bytes, bodyBytes, hash)
  if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(bodyBytes) !== hash.high) {
    throw new BytesProblem('its bytes are not those that were written')
  }
  // A copy: tiles hold on to their part of it until it is wanted.
  const from = new ByteReader(bytes.slice(0, bodyBytes))
  from.byte()
  for (const byte of layout.fingerprint) {
    if (from.byte() !== byte) throw new BytesProblem('it is of another definition of the view')
  }
  const state: StoredState = { evictedMs: from.number(), ids: new Map(), tiles: [] }
  const ids = from.size(2)
  for (let i = 0; i < ids; i++) state.ids.set(from.text(), from.number())
  const tiles = from.size(4)
  let before = 0
  for (let i = 0; i < tiles; i++) {
    before += from.number()
    state.tiles.push(readTile(layout, before * layout.hopMs, from))
  }
  if (from.left > 0) throw new BytesProblem(`${from.left} bytes are left over`)
  return state
}

function readTile(layout: Layout, startMs: number, from: ByteReader): Tile {
  const tile = new Tile(layout, startMs)
  tile.newestMs = startMs + from.number()
  const raw = from.size()
  for (let i = 0; i < raw; i++) {
    const eventMs = startMs + from.number()
    const id = layout.needsIds ? from.value() : null
    const values = layout.kept.map(() => from.value())
    const passed = layout.filters.length > 0 ? layout.filters.map(() => from.byte() === 1) : undefined
    tile.raw.push({ eventMs, id: typeof id === 'string' ? id : undefined, values, passed })
  }
  const parts = from.bytes()
  if (parts.length > 0) tile.stored = parts
  return tile
}
