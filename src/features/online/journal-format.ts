// The stored format of the memory store's files. A file is 8 bytes of magic and frames; a frame is
//
//   length of the payload (u32), its CRC-32 (u32), the payload: 1 when it ends a transaction, else 0, and entries.
//
// What a transaction says holds when all of it is there. Entries are read in order; a later one of a key replaces an earlier one.
import { crc32 } from 'node:zlib'
import { FeatureErrors } from '../errors.js'
import type { Value } from '../value.js'
import { ByteReader, ByteWriter } from './bytes.js'
import { type DecodedRow, encodeRow, readRow } from './row-bytes.js'
import type { StreamPosition, TableMark } from './types.js'

export const MAGIC = Buffer.from('HRONLIN1')
/** Begins a journal before which something was lost: it says something only together with the snapshot of its number. */
export const AFTER_LOSS_MAGIC = Buffer.from('HRONLIL1')
export const FRAME_HEAD_BYTES = 8

/** Before the entries: the head, and whether the frame ends a transaction. */
const NO_HEAD = Buffer.alloc(FRAME_HEAD_BYTES + 1)

const ROW = 1
const STATE = 2
const REMOVED = 3
const POSITION = 4
const MARK = 5

/** Where entries go when they are read. */
export interface EntrySink {
  row(key: string, row: DecodedRow): void
  state(key: string, newestEventMs: number, bytes: Buffer): void
  removed(key: string): void
  position(stream: string, at: StreamPosition): void
  mark(mark: TableMark): void
}

/** A frame becomes about this large. */
const FRAME_BYTES = 128 * 1024

/** Gathers entries, and gives them as frames. */
export class FrameWriter {
  /** The frame in the making. */
  readonly #entries = new ByteWriter(4096)
  #frames: Buffer[] = []

  constructor() {
    this.#entries.raw(NO_HEAD)
  }

  row(key: string, eventMs: number, knownMs: number, values: readonly Value[]): void {
    this.#entries.u8(ROW)
    this.#entries.text(key)
    encodeRow(this.#entries, eventMs, knownMs, values)
    this.#cut()
  }

  state(key: string, newestEventMs: number, bytes: Uint8Array): void {
    this.#entries.u8(STATE)
    this.#entries.text(key)
    this.#entries.f64(newestEventMs)
    this.#entries.bytes(bytes)
    this.#cut()
  }

  removed(key: string): void {
    this.#entries.u8(REMOVED)
    this.#entries.text(key)
    this.#cut()
  }

  position(stream: string, at: StreamPosition): void {
    this.#entries.u8(POSITION)
    this.#entries.text(stream)
    this.#entries.text(JSON.stringify(at))
  }

  mark(mark: TableMark): void {
    this.#entries.u8(MARK)
    this.#entries.text(JSON.stringify(mark))
  }

  /** All entries since the last time, as one transaction; nothing when there were none. */
  transaction(): readonly Buffer[] {
    if (this.#entries.length > NO_HEAD.length || this.#frames.length > 0) this.#frames.push(this.#frame(true))
    const frames = this.#frames
    this.#frames = []
    return frames
  }

  #cut(): void {
    if (this.#entries.length >= FRAME_BYTES) this.#frames.push(this.#frame(false))
  }

  #frame(isLast: boolean): Buffer {
    const frame = this.#entries.take()
    this.#entries.raw(NO_HEAD)
    frame[FRAME_HEAD_BYTES] = isLast ? 1 : 0
    frame.writeUInt32LE(frame.length - FRAME_HEAD_BYTES, 0)
    frame.writeUInt32LE(crc32(frame.subarray(FRAME_HEAD_BYTES)), 4)
    return frame
  }
}

/** Gives the entries of a frame's payload to `sink`. Throws FEATURE_ROW_CORRUPT. */
export function readEntries(payload: Buffer, sink: EntrySink): void {
  const from = new ByteReader(payload, 1)
  while (from.left > 0) {
    const kind = from.u8()
    switch (kind) {
      case ROW:
        sink.row(from.text(), readRow(from))
        break
      case STATE:
        sink.state(from.text(), from.f64(), from.bytes())
        break
      case REMOVED:
        sink.removed(from.text())
        break
      case POSITION:
        sink.position(from.text(), JSON.parse(from.text()) as StreamPosition)
        break
      case MARK:
        sink.mark(JSON.parse(from.text()) as TableMark)
        break
      default:
        throw FeatureErrors.ROW_CORRUPT({ problem: `there is an entry of the unknown kind ${kind}` })
    }
  }
}
