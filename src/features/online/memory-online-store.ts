// The online store in this process's memory. Reads are synchronous and hand out what is kept.
import type { Platform } from '../../core/index.js'
import type { KeyState, WindowEngine } from '../aggregate/types.js'
import type { CompiledWindowView } from '../compiled.js'
import type { Value } from '../value.js'
import { MemoryTable } from './memory-table.js'
import { Turns } from './turns.js'
import type {
  OnlineAnswer,
  OnlineEntry,
  OnlineRead,
  OnlineRow,
  OnlineStore,
  OnlineTable,
  StateWrite,
  StreamPosition,
  TableMark,
} from './types.js'

export interface MemoryOnlineStoreOptions {
  readonly platform: Platform
  /** Where it is kept across restarts; without it a restart begins with nothing. */
  readonly folder?: string
  readonly engineOf: (view: CompiledWindowView) => WindowEngine
}

const SCAN_KEYS = 1000

/**
 * Window states are live: `readStates` hands out the very states that requests read, so what their writer adds is seen at once. What files
 * keep is what `writeStates` was given, as it was then: a writer changes a state again only after `writeStates` has resolved.
 */
export async function createMemoryOnlineStore(options: MemoryOnlineStoreOptions): Promise<OnlineStore> {
  return new MemoryOnlineStore(options)
}

class MemoryOnlineStore implements OnlineStore {
  readonly kind = 'memory'
  readonly #tables = new Map<string, MemoryTable>()

  constructor(private readonly options: MemoryOnlineStoreOptions) {}

  read(reads: readonly OnlineRead[], atMs: number): OnlineAnswer {
    const answer = new Array<readonly (OnlineEntry | undefined)[]>(reads.length)
    for (let i = 0; i < reads.length; i++) answer[i] = this.#readTable(reads[i]!, atMs)
    return answer
  }

  #readTable({ table, keys }: OnlineRead, atMs: number): (OnlineEntry | undefined)[] {
    const entries = new Array<OnlineEntry | undefined>(keys.length)
    const kept = this.#tables.get(table.name)
    if (kept === undefined) return entries.fill(undefined)
    const { view } = table
    if (view.kind === 'rows') {
      for (let i = 0; i < keys.length; i++) entries[i] = kept.rows.get(keys[i]!)
      return entries
    }
    const engine = this.options.engineOf(view)
    const width = view.features.length
    for (let i = 0; i < keys.length; i++) {
      const state = kept.stateOf(keys[i]!, engine)
      entries[i] = state === undefined ? undefined : entryOf(state, atMs, width)
    }
    return entries
  }

  async writeRows(table: OnlineTable, rows: readonly OnlineRow[]): Promise<number> {
    const kept = this.#table(table)
    const turns = new Turns(this.options.platform.clock)
    let written = 0
    for (const row of rows) {
      if (kept.putRow(row)) written++
      const pause = turns.next()
      if (pause) await pause
    }
    return written
  }

  async readStates(table: OnlineTable, keys: readonly string[]): Promise<(KeyState | undefined)[]> {
    const engine = this.#engineOf(table)
    const kept = this.#table(table)
    return keys.map((key) => kept.stateOf(key, engine))
  }

  async writeStates(
    table: OnlineTable,
    states: readonly StateWrite[],
    position?: { readonly stream: string; readonly at: StreamPosition },
  ): Promise<void> {
    const kept = this.#table(table)
    const turns = new Turns(this.options.platform.clock)
    const bytes: (Uint8Array | undefined)[] = []
    for (const { state } of states) {
      bytes.push(state?.serialize())
      const pause = turns.next(8)
      if (pause) await pause
    }
    for (let i = 0; i < states.length; i++) {
      const { key, state } = states[i]!
      if (state === undefined) kept.removeState(key)
      else kept.putState(key, bytes[i]!, state.newestEventMs ?? Number.NEGATIVE_INFINITY, state)
    }
    if (position) kept.positions.set(position.stream, position.at)
  }

  async position(table: OnlineTable, stream: string): Promise<StreamPosition | undefined> {
    return this.#tables.get(table.name)?.positions.get(stream)
  }

  async readMark(table: OnlineTable): Promise<TableMark | undefined> {
    return this.#tables.get(table.name)?.mark
  }

  async writeMark(table: OnlineTable, mark: TableMark): Promise<void> {
    this.#table(table).mark = mark
  }

  async *scan(table: OnlineTable): AsyncIterable<readonly string[]> {
    const kept = this.#tables.get(table.name)
    if (kept === undefined) return
    let batch: string[] = []
    // A Map may be changed while it is walked: what is added meanwhile is seen at its end.
    for (const key of (table.view.kind === 'rows' ? kept.rows : kept.states).keys()) {
      if (batch.push(key) < SCAN_KEYS) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }

  async tables(): Promise<string[]> {
    return [...this.#tables.values()].filter((table) => !table.isEmpty).map(({ name }) => name)
  }

  async drop(tableName: string): Promise<void> {
    this.#tables.delete(tableName)
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}

  #table({ name }: OnlineTable): MemoryTable {
    let table = this.#tables.get(name)
    if (table === undefined) {
      table = new MemoryTable(name)
      this.#tables.set(name, table)
    }
    return table
  }

  #engineOf({ view, name }: OnlineTable): WindowEngine {
    if (view.kind !== 'windows') throw new TypeError(`${name} has rows, not window states`)
    return this.options.engineOf(view)
  }
}

function entryOf(state: KeyState, atMs: number, width: number): OnlineEntry | undefined {
  const values = new Array<Value>(width)
  if (!state.read(atMs, values, 0)) return undefined
  return { eventMs: state.newestEventMs!, values }
}
