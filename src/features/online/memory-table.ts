// One table of the memory store: rows or window states by key, the positions that they are of, and the mark.

import type { KeyState, WindowEngine } from '../aggregate/types.js'
import { compareTuples } from '../compare-values.js'
import type { Value } from '../value.js'
import type { EntrySink } from './journal-format.js'
import type { OnlineEntry, OnlineRow, StreamPosition, TableMark } from './types.js'

/** A row as it is kept: readers get this very object. */
export class KeptRow implements OnlineEntry {
  constructor(
    readonly eventMs: number,
    readonly knownMs: number,
    readonly values: readonly Value[],
  ) {}
}

/**
 * A window state. `bytes` are those of its last commit: what files hold, also while its one writer is adding to `state`. It is parsed when
 * it is first needed, so that a start does not wait for the states of keys that nobody asks for.
 */
export class KeptState {
  state: KeyState | undefined
  constructor(
    public bytes: Uint8Array,
    public newestEventMs: number,
    state: KeyState | undefined,
  ) {
    this.state = state
  }
}

export class MemoryTable {
  readonly rows = new Map<string, KeptRow>()
  readonly states = new Map<string, KeptState>()
  readonly positions = new Map<string, StreamPosition>()
  mark: TableMark | undefined = undefined
  /** Of values and keys, about. */
  sizeBytes = 0

  constructor(readonly name: string) {}

  get keys(): number {
    return this.rows.size + this.states.size
  }

  get isEmpty(): boolean {
    return this.keys === 0 && this.positions.size === 0 && this.mark === undefined
  }

  /** True when the row is newer than what was there, which it then replaces. */
  putRow(row: OnlineRow): boolean {
    const { key, eventMs, knownMs } = row
    const there = this.rows.get(key)
    if (there !== undefined) {
      if (eventMs < there.eventMs) return false
      if (eventMs === there.eventMs) {
        if (knownMs < there.knownMs) return false
        if (knownMs === there.knownMs && compareTuples(row.values, there.values) <= 0) return false
      }
      this.sizeBytes -= rowBytes(key, there.values)
    }
    const values = ownValues(row.values)
    this.sizeBytes += rowBytes(key, values)
    this.rows.set(key, new KeptRow(eventMs, knownMs, values))
    return true
  }

  removeRow(key: string): void {
    const there = this.rows.get(key)
    if (there === undefined) return
    this.sizeBytes -= rowBytes(key, there.values)
    this.rows.delete(key)
  }

  putState(key: string, bytes: Uint8Array, newestEventMs: number, state: KeyState | undefined): void {
    const there = this.states.get(key)
    if (there === undefined) {
      this.states.set(key, new KeptState(bytes, newestEventMs, state))
      this.sizeBytes += stateBytes(key, bytes)
      return
    }
    this.sizeBytes += bytes.length - there.bytes.length
    there.bytes = bytes
    there.newestEventMs = newestEventMs
    there.state = state
  }

  removeState(key: string): void {
    const there = this.states.get(key)
    if (there === undefined) return
    this.sizeBytes -= stateBytes(key, there.bytes)
    this.states.delete(key)
  }

  clear(): void {
    this.rows.clear()
    this.states.clear()
    this.positions.clear()
    this.mark = undefined
    this.sizeBytes = 0
  }

  /** Throws FEATURE_STATE_CORRUPT. */
  stateOf(key: string, engine: WindowEngine): KeyState | undefined {
    const kept = this.states.get(key)
    if (kept === undefined) return undefined
    kept.state ??= engine.parse(kept.bytes)
    return kept.state
  }
}

/** Takes in what files hold. */
export function sinkOf(table: MemoryTable): EntrySink {
  return {
    row: (key, row) => void table.putRow({ key, ...row }),
    state: (key, newestEventMs, bytes) => table.putState(key, bytes, newestEventMs, undefined),
    removed(key) {
      table.removeRow(key)
      table.removeState(key)
    },
    position: (stream, at) => void table.positions.set(stream, at),
    mark(mark) {
      table.mark = mark
    },
  }
}

/** What a row or a state takes beside its values and bytes: objects, and its place in the map. Measured, see bench/features-online. */
const ROW_BYTES = 140
const STATE_BYTES = 260

function rowBytes(key: string, values: readonly Value[]): number {
  let bytes = ROW_BYTES + key.length
  for (let i = 0; i < values.length; i++) bytes += valueBytes(values[i]!)
  return bytes
}

function stateBytes(key: string, bytes: Uint8Array): number {
  // The parsed state is about as large again.
  return STATE_BYTES + key.length + 2 * bytes.length
}

function valueBytes(value: Value): number {
  switch (typeof value) {
    case 'string':
      return 24 + value.length
    case 'bigint':
      return 32
    case 'object': {
      if (value === null) return 8
      if (value instanceof Float32Array) return 200 + value.byteLength
      let bytes = 40
      for (let i = 0; i < value.length; i++) bytes += valueBytes(value[i]!)
      return bytes
    }
    default:
      return 8
  }
}

/** A vector that is a part of a larger buffer would keep all of that in memory. */
function ownValues(values: readonly Value[]): readonly Value[] {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value instanceof Float32Array && value.byteLength < value.buffer.byteLength) {
      return values.map((each) => (each instanceof Float32Array ? each.slice() : each))
    }
  }
  return values
}
