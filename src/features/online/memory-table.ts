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
 * A window state. `bytes` are those of its last checkpoint: what files hold, also while its one writer is adding to `state`. It is parsed when
 * it is first needed, so that a start does not wait for the states of keys that nobody asks for.
 */
export class KeptState {
  /** Of both, about: looked at when it is new and at each checkpoint. */
  sizeBytes = 0
  constructor(
    public bytes: Uint8Array | undefined,
    public newestEventMs: number,
    public state: KeyState | undefined,
  ) {}
}

export class MemoryTable {
  readonly rows = new Map<string, KeptRow>()
  readonly states = new Map<string, KeptState>()
  readonly positions = new Map<string, StreamPosition>()
  /** Those that the states' `bytes` are of, once the running checkpoint is over. */
  readonly keptPositions = new Map<string, StreamPosition>()
  /** Resolves when the running checkpoint is over. */
  checkpointing: Promise<void> | undefined = undefined
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

  putState(key: string, state: KeyState, newestEventMs: number): void {
    const there = this.states.get(key)
    if (there !== undefined) {
      there.newestEventMs = newestEventMs
      there.state = state
      return
    }
    const kept = new KeptState(undefined, newestEventMs, state)
    this.states.set(key, kept)
    this.#measure(key, kept)
  }

  /** As files have it. */
  putBytes(key: string, bytes: Uint8Array, newestEventMs: number): void {
    this.removeState(key)
    const kept = new KeptState(bytes, newestEventMs, undefined)
    this.states.set(key, kept)
    this.#measure(key, kept)
  }

  /** Looks at the state as it is now: its bytes, if they are wanted, and its size. */
  keepState(key: string, areBytesWanted: boolean): KeptState | undefined {
    const kept = this.states.get(key)
    if (kept?.state === undefined) return kept
    if (areBytesWanted) kept.bytes = kept.state.serialize()
    this.#measure(key, kept)
    return kept
  }

  removeState(key: string): void {
    const there = this.states.get(key)
    if (there === undefined) return
    this.sizeBytes -= there.sizeBytes
    this.states.delete(key)
  }

  #measure(key: string, kept: KeptState): void {
    const { bytes, state } = kept
    this.sizeBytes -= kept.sizeBytes
    // A parsed state is about as large again.
    const own = (bytes?.length ?? 0) + (state?.sizeBytes ?? bytes?.length ?? 0)
    kept.sizeBytes = STATE_BYTES + key.length + own
    this.sizeBytes += kept.sizeBytes
  }

  clear(): void {
    this.rows.clear()
    this.states.clear()
    this.positions.clear()
    this.keptPositions.clear()
    this.mark = undefined
    this.sizeBytes = 0
  }

  /** Throws FEATURE_STATE_CORRUPT. */
  stateOf(key: string, engine: WindowEngine): KeyState | undefined {
    const kept = this.states.get(key)
    if (kept === undefined) return undefined
    kept.state ??= engine.parse(kept.bytes!)
    return kept.state
  }
}

/** Takes in what files hold. */
export function sinkOf(table: MemoryTable): EntrySink {
  return {
    row: (key, row) => void table.putRow({ key, ...row }),
    state: (key, newestEventMs, bytes) => table.putBytes(key, bytes, newestEventMs),
    removed(key) {
      table.removeRow(key)
      table.removeState(key)
    },
    position(stream, at) {
      table.positions.set(stream, at)
      table.keptPositions.set(stream, at)
    },
    mark(mark) {
      table.mark = mark
    },
  }
}

/** What a row or a state takes beside its values and bytes: objects, and its place in the map. An estimate; docs/online-store.md says what rows were seen to take. */
const ROW_BYTES = 140
const STATE_BYTES = 260

function rowBytes(key: string, values: readonly Value[]): number {
  let bytes = ROW_BYTES + key.length
  for (let i = 0; i < values.length; i++) bytes += valueBytes(values[i]!)
  return bytes
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
