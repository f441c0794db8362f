// Online reads and their answers as bytes, between processes of one server. Half the time of cloning the same objects when there
// are many, a quarter when there are few (25 views of 10 numbers, 1 to 500 keys, 2026-11-22). Both ends are of one release, so the format may change.
import { ByteReader, ByteWriter } from './bytes.js'
import { decodeValues, encodeValues } from './row-bytes.js'
import { nextTurn } from './turns.js'
import type { OnlineAnswer, OnlineEntry, OnlineRead } from './types.js'

export interface NamedRead {
  readonly table: string
  readonly keys: readonly string[]
}

export interface NamedReads {
  readonly atMs: number
  readonly reads: readonly NamedRead[]
}

export function encodeReads(reads: readonly OnlineRead[], atMs: number): Buffer {
  const into = new ByteWriter(1024)
  into.f64(atMs)
  into.varint(reads.length)
  let previous: readonly string[] | undefined
  for (const { table, keys } of reads) {
    into.text(table.name)
    // Views of one entity are mostly asked for the same keys.
    const isSame = keys === previous
    into.u8(isSame ? 1 : 0)
    if (isSame) continue
    into.varint(keys.length)
    for (let i = 0; i < keys.length; i++) into.text(keys[i]!)
    previous = keys
  }
  return into.take()
}

/** Throws FEATURE_ROW_CORRUPT. */
export function decodeReads(bytes: Buffer): NamedReads {
  const from = new ByteReader(bytes)
  const atMs = from.f64()
  const reads = new Array<NamedRead>(from.varint())
  let keys: readonly string[] = []
  for (let i = 0; i < reads.length; i++) {
    const table = from.text()
    if (from.u8() === 0) keys = Array.from({ length: from.varint() }, () => from.text())
    reads[i] = { table, keys }
  }
  return { atMs, reads }
}

/** Some milliseconds of work. */
const TURN_ENTRIES = 4000

export async function encodeAnswer(answer: OnlineAnswer): Promise<Buffer> {
  const into = new ByteWriter(4096)
  into.varint(answer.length)
  let done = 0
  for (const entries of answer) {
    into.varint(entries.length)
    for (let i = 0; i < entries.length; i++) encodeEntry(into, entries[i])
    done += entries.length
    if (done < TURN_ENTRIES) continue
    done = 0
    await nextTurn()
  }
  return into.take()
}

/** Throws FEATURE_ROW_CORRUPT. */
export async function decodeAnswer(bytes: Buffer): Promise<OnlineAnswer> {
  const from = new ByteReader(bytes)
  const answer = new Array<(OnlineEntry | undefined)[]>(from.varint())
  let done = 0
  for (let i = 0; i < answer.length; i++) {
    const entries = new Array<OnlineEntry | undefined>(from.varint())
    for (let j = 0; j < entries.length; j++) entries[j] = decodeEntry(from)
    answer[i] = entries
    done += entries.length
    if (done < TURN_ENTRIES) continue
    done = 0
    await nextTurn()
  }
  return answer
}

function encodeEntry(into: ByteWriter, entry: OnlineEntry | undefined): void {
  into.u8(entry === undefined ? 0 : 1)
  if (entry === undefined) return
  into.f64(entry.eventMs)
  encodeValues(into, entry.values)
}

function decodeEntry(from: ByteReader): OnlineEntry | undefined {
  return from.u8() === 0 ? undefined : { eventMs: from.f64(), values: decodeValues(from) }
}
