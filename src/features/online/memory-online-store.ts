// The online store in this process's memory. Reads are synchronous and hand out what is kept.
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Counter, Platform, Timer } from '../../core/index.js'
import { makeFolder } from '../../store/index.js'
import type { KeyState, WindowEngine } from '../aggregate/types.js'
import type { CompiledView, CompiledWindowView } from '../compiled.js'
import type { Value } from '../value.js'
import { CHECKPOINT_MS, Checkpoints } from './checkpoints.js'
import { FrameWriter } from './journal-format.js'
import { keptUntilMs } from './keeping.js'
import { MemoryTable } from './memory-table.js'
import { DROPPED, TableFiles } from './table-files.js'
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
  /** Window states and positions that changed are written this often; default 2 s. Rows are written at once. */
  readonly checkpointMs?: number
}

const SCAN_KEYS = 1000
/** How often what expired is looked for. */
const SWEEP_MS = 60_000

/** A table, where it is kept, and the view that says how long. */
interface Kept {
  readonly table: MemoryTable
  readonly files: TableFiles | undefined
  readonly checkpoints: Checkpoints
  /** undefined until somebody asks for it: files do not say it. */
  view: CompiledView | undefined
}

/**
 * Window states are live: `readStates` hands out the very states that requests read, so what their writer adds is seen at once. A writer
 * changes what it was handed and gives it to `writeStates` in the turn that it got it in: checkpoints are taken between turns.
 */
export async function createMemoryOnlineStore(options: MemoryOnlineStoreOptions): Promise<OnlineStore> {
  const { folder, platform } = options
  const tables = new Map<string, Kept>()
  if (folder !== undefined) {
    await makeFolder(folder)
    for (const name of await readdir(folder)) {
      if (name.endsWith(DROPPED)) {
        await rm(path.join(folder, name), { recursive: true, force: true })
        continue
      }
      const table = new MemoryTable(nameOfFolder(name))
      const files = await TableFiles.load(path.join(folder, name), table, platform)
      tables.set(table.name, keptOf(table, files, undefined, options))
    }
  }
  return new MemoryOnlineStore(tables, options)
}

function keptOf(
  table: MemoryTable,
  files: TableFiles | undefined,
  view: CompiledView | undefined,
  { platform, checkpointMs = CHECKPOINT_MS }: MemoryOnlineStoreOptions,
): Kept {
  return { table, files, checkpoints: new Checkpoints(table, files, platform, checkpointMs), view }
}

class MemoryOnlineStore implements OnlineStore {
  readonly kind = 'memory'
  readonly #dropping = new Map<string, Promise<void>>()
  readonly #corrupt: Counter
  #sweep: Timer

  constructor(
    private readonly kept: Map<string, Kept>,
    private readonly options: MemoryOnlineStoreOptions,
  ) {
    const { clock, metrics } = options.platform
    this.#corrupt = metrics
      .counter({ name: 'ml_feature_store_corrupt_total', help: 'Stored rows and states that could not be read' })
      .with()
    const each = (value: (table: MemoryTable) => number) => () =>
      [...this.kept.values()].map(({ table }) => ({ labels: [table.name], value: value(table) }))
    metrics.computed(
      { name: 'ml_feature_store_bytes', help: 'Memory that a table takes, about', labels: ['table'], type: 'gauge' },
      each(({ sizeBytes }) => sizeBytes),
    )
    metrics.computed(
      { name: 'ml_feature_store_keys', help: 'Entity keys in a table', labels: ['table'], type: 'gauge' },
      each(({ keys }) => keys),
    )
    this.#sweep = clock.after(SWEEP_MS, this.#sweepNow)
  }

  read(reads: readonly OnlineRead[], atMs: number): OnlineAnswer {
    const answer = new Array<readonly (OnlineEntry | undefined)[]>(reads.length)
    for (let i = 0; i < reads.length; i++) answer[i] = this.#readTable(reads[i]!, atMs)
    return answer
  }

  #readTable({ table: { name, view }, keys }: OnlineRead, atMs: number): (OnlineEntry | undefined)[] {
    const kept = this.kept.get(name)
    const entries = new Array<OnlineEntry | undefined>(keys.length)
    if (kept === undefined) return entries.fill(undefined)
    kept.view ??= view
    const { table } = kept
    if (view.kind === 'rows') {
      for (let i = 0; i < keys.length; i++) entries[i] = table.rows.get(keys[i]!)
      return entries
    }
    const engine = this.options.engineOf(view)
    const width = view.features.length
    for (let i = 0; i < keys.length; i++) entries[i] = this.#windows(table, keys[i]!, engine, atMs, width)
    return entries
  }

  /** A state that cannot be read is as if it were not there: it must not take the others' values away. */
  #windows(
    table: MemoryTable,
    key: string,
    engine: WindowEngine,
    atMs: number,
    width: number,
  ): OnlineEntry | undefined {
    try {
      const state = table.stateOf(key, engine)
      return state && entryOf(state, atMs, width)
    } catch (error) {
      this.#corrupt.inc()
      this.options.platform.logger.warn({ err: error, table: table.name }, 'a window state cannot be read')
      return undefined
    }
  }

  async writeRows(table: OnlineTable, rows: readonly OnlineRow[]): Promise<number> {
    const kept = this.#open(table)
    const { clock } = this.options.platform
    const frames = kept.files && new FrameWriter()
    const nowMs = clock.nowMs()
    const turns = new Turns(clock)
    let written = 0
    for (const row of rows) {
      if (keptUntilMs(table.view, row.eventMs) > nowMs && kept.table.putRow(row)) {
        written++
        frames?.row(row.key, row.eventMs, row.knownMs, row.values)
      }
      const pause = turns.next()
      if (pause) {
        if (frames) await kept.files?.append(frames.transaction())
        await pause
      }
    }
    if (frames) await kept.files?.append(frames.transaction())
    return written
  }

  async readStates(table: OnlineTable, keys: readonly string[]): Promise<(KeyState | undefined)[]> {
    const engine = this.#engineOf(table)
    const kept = this.#open(table)
    const turns = new Turns(this.options.platform.clock)
    for (const key of keys) {
      kept.checkpoints.keep(key)
      kept.table.stateOf(key, engine)
      const pause = turns.next(8)
      if (pause) await pause
    }
    // All of them in one turn: a checkpoint may have begun in a pause.
    const states = new Array<KeyState | undefined>(keys.length)
    for (let i = 0; i < keys.length; i++) {
      kept.checkpoints.keep(keys[i]!)
      states[i] = kept.table.stateOf(keys[i]!, engine)
    }
    return states
  }

  async writeStates(
    table: OnlineTable,
    states: readonly StateWrite[],
    position?: { readonly stream: string; readonly at: StreamPosition },
  ): Promise<void> {
    const kept = this.#open(table)
    const { checkpoints } = kept
    for (let i = 0; i < states.length; i++) {
      const { key, state } = states[i]!
      const newestEventMs = state?.newestEventMs
      checkpoints.keep(key)
      if (newestEventMs === undefined) kept.table.removeState(key)
      else kept.table.putState(key, state!, newestEventMs)
      checkpoints.changed(key)
    }
    if (position) {
      kept.table.positions.set(position.stream, position.at)
      checkpoints.moved(position.stream)
    }
    await checkpoints.soon()
  }

  async position(table: OnlineTable, stream: string): Promise<StreamPosition | undefined> {
    return this.kept.get(table.name)?.table.positions.get(stream)
  }

  async readMark(table: OnlineTable): Promise<TableMark | undefined> {
    return this.kept.get(table.name)?.table.mark
  }

  async writeMark(table: OnlineTable, mark: TableMark): Promise<void> {
    const kept = this.#open(table)
    // A mark speaks of what is there: it is not kept before that.
    await kept.checkpoints.take()
    kept.table.mark = mark
    const frames = new FrameWriter()
    frames.mark(mark)
    await kept.files?.append(frames.transaction())
  }

  async *scan(table: OnlineTable): AsyncIterable<readonly string[]> {
    const kept = this.kept.get(table.name)
    if (kept === undefined) return
    let batch: string[] = []
    // A Map may be changed while it is walked: what is added meanwhile is seen at its end.
    for (const key of (table.view.kind === 'rows' ? kept.table.rows : kept.table.states).keys()) {
      if (batch.push(key) < SCAN_KEYS) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }

  async tables(): Promise<string[]> {
    return [...this.kept.values()].filter(({ table }) => !table.isEmpty).map(({ table }) => table.name)
  }

  async drop(tableName: string): Promise<void> {
    const kept = this.kept.get(tableName)
    this.kept.delete(tableName)
    kept?.checkpoints.close()
    if (kept?.files === undefined) return
    const removed = kept.files.remove()
    // Whoever makes the table anew waits for it; whether it went well is told to whoever dropped it.
    const over = removed.then(
      () => undefined,
      () => undefined,
    )
    this.#dropping.set(tableName, over)
    await removed
    if (this.#dropping.get(tableName) === over) this.#dropping.delete(tableName)
  }

  async flush(): Promise<void> {
    await Promise.all(
      [...this.kept.values()].map(async ({ files, checkpoints }) => {
        await checkpoints.take()
        await files?.flush()
      }),
    )
  }

  async close(): Promise<void> {
    this.#sweep.cancel()
    await Promise.all(
      [...this.kept.values()].map(async ({ files, checkpoints }) => {
        try {
          await checkpoints.take()
        } finally {
          checkpoints.close()
          await files?.close()
        }
      }),
    )
  }

  readonly #sweepNow = (): void => {
    void this.#evict().then(() => {
      this.#sweep = this.options.platform.clock.after(SWEEP_MS, this.#sweepNow)
    })
  }

  /** Forgets rows and states that nobody can use any more, in turns. */
  async #evict(): Promise<void> {
    const { clock } = this.options.platform
    const nowMs = clock.nowMs()
    const turns = new Turns(clock)
    for (const { table, files, checkpoints, view } of this.kept.values()) {
      if (view === undefined || (view.kind === 'rows' && view.ttlMs === undefined)) continue
      const frames = new FrameWriter()
      for (const [key, { eventMs }] of table.rows) {
        if (keptUntilMs(view, eventMs) <= nowMs) {
          table.removeRow(key)
          frames.removed(key)
        }
        const pause = turns.next()
        if (pause) {
          await files?.append(frames.transaction())
          await pause
        }
      }
      await files?.append(frames.transaction())
      for (const [key, { newestEventMs }] of table.states) {
        if (keptUntilMs(view, newestEventMs) <= nowMs) {
          checkpoints.keep(key)
          table.removeState(key)
          checkpoints.changed(key)
        }
        const pause = turns.next()
        if (pause) await pause
      }
      await checkpoints.soon()
    }
  }

  #open({ name, view }: OnlineTable): Kept {
    let kept = this.kept.get(name)
    if (kept === undefined) {
      const { folder, platform } = this.options
      const table = new MemoryTable(name)
      const files =
        folder === undefined
          ? undefined
          : TableFiles.create(path.join(folder, folderOf(name)), table, platform, this.#dropping.get(name))
      kept = keptOf(table, files, view, this.options)
      this.kept.set(name, kept)
    }
    kept.view ??= view
    return kept
  }

  #engineOf({ view, name }: OnlineTable): WindowEngine {
    if (view.kind !== 'windows') throw new TypeError(`${name} has rows, not window states`)
    return this.options.engineOf(view)
  }
}

/** Names differ in letters' case, which some file systems do not. */
function folderOf(tableName: string): string {
  return tableName.replace(/[^a-z0-9_@.-]/g, (letter) => `~${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function nameOfFolder(folder: string): string {
  return folder.replace(/~([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}

function entryOf(state: KeyState, atMs: number, width: number): OnlineEntry | undefined {
  const values = new Array<Value>(width)
  if (!state.read(atMs, values, 0)) return undefined
  return { eventMs: state.newestEventMs!, values }
}
