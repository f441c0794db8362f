// Which generation of a view requests read, and which ones writes go to. A generation is filled beside the live one and takes its place by a
// decision, in one step; the old one is still written to until its time of grace is over, so that the decision can be undone.
//
// Until a changed definition has been filled, `live(view).view` is the definition that the live generation was made by: read values by the
// names of *its* features. Without a live generation every entity is missing.
import type { Kysely } from 'kysely'
import type { Platform, Stop } from '../../core/index.js'
import type { Sql } from '../../store/index.js'
import type { CompiledView, FeatureProject } from '../compiled.js'
import type { OnlineTable } from '../online/types.js'
import { layoutOf, thaw } from './layout.js'
import { type FeatureTables, featureMigrations, readTables, type TableRow, type TablesState } from './table-rows.js'

export interface TableDirectory {
  /** The one that requests read; undefined: none is filled yet, or the store lost it. */
  live(view: CompiledView): OnlineTable | undefined
  /** All that rows and events of the view go to. */
  writing(view: CompiledView): readonly OnlineTable[]
}

/** A generation with its place in life. */
export interface Generation {
  readonly table: OnlineTable
  readonly row: TableRow
  readonly isLive: boolean
  readonly isWritable: boolean
}

export interface Tables extends TableDirectory {
  /** Of a view, the oldest first. */
  generations(view: CompiledView): readonly Generation[]
  /** By table name; undefined for one that was dropped. */
  generation(name: string): Generation | undefined
  /** What `begin` would call it. */
  nextName(view: CompiledView): Promise<string>
  /** A new empty generation by the present definition. Give it its mark before it joins. */
  begin(view: CompiledView, seamMs: number | null): Promise<Generation>
  /** From now on rows and events that arrive go to it too. */
  join(name: string): Promise<void>
  /** Makes it the one that requests read, by a decision. */
  switchTo(name: string, evidence: Readonly<Record<string, unknown>>): Promise<void>
  /** The store no longer has it: until another one is switched to, the view has none. Forgotten at a restart, which looks again. */
  lost(name: string): void
  /** Forgets it; its rows are the caller's to remove. */
  dropped(name: string): Promise<void>
  /** Reads the state again: after a decision was made or undone. */
  refresh(): Promise<void>
  /** As other processes need it: give it to `directoryOf`. */
  state(): TablesState
  watch(change: () => void): Stop
}

export interface TablesOptions {
  readonly platform: Platform
  readonly sql: Sql
  readonly project: FeatureProject
  /** Shown until `refresh`, in place of what the metadata store says: it is away. */
  readonly known?: TablesState | undefined
  /** Makes the decision `features.switch` (app/features/switch-decision.ts). */
  readonly decide: (view: string, table: string, evidence: Readonly<Record<string, unknown>>) => Promise<void>
}

export async function createTables(options: TablesOptions): Promise<Tables> {
  await options.sql.migrate('features', featureMigrations)
  const tables = new StoredTables(options)
  if (options.known === undefined) await tables.refresh()
  return tables
}

/** The directory of a process that was told the state of another. */
export function directoryOf(
  project: FeatureProject,
  state: TablesState,
  lost: ReadonlySet<string> = new Set(),
): Directory {
  return new Directory(project, state, lost)
}

const NONE: readonly never[] = []

export class Directory implements TableDirectory {
  readonly #live = new Map<string, OnlineTable>()
  readonly #writing = new Map<string, OnlineTable[]>()
  readonly #generations = new Map<string, Generation[]>()

  constructor(
    project: FeatureProject,
    readonly state: TablesState,
    lost: ReadonlySet<string>,
  ) {
    for (const row of state.tables) {
      const view = project.views.get(row.view)
      // A view that is no longer defined keeps its tables until somebody removes them.
      if (!view) continue
      const isPresent = row.fingerprint === view.fingerprint && row.name.startsWith(`${view.table}.`)
      const { view: madeBy, isWritable } = isPresent ? { view, isWritable: true } : thaw(row.layout, view)
      const isLive = state.live[row.view] === row.name && !lost.has(row.name)
      const generation: Generation = { table: { view: madeBy, name: row.name }, row, isLive, isWritable }
      push(this.#generations, row.view, generation)
      if (isLive) this.#live.set(row.view, generation.table)
      // A table that the store lost would only be filled in part.
      if (isWritable && row.state !== 'filling' && !lost.has(row.name)) push(this.#writing, row.view, generation.table)
    }
  }

  live(view: CompiledView): OnlineTable | undefined {
    return this.#live.get(view.name)
  }

  writing(view: CompiledView): readonly OnlineTable[] {
    return this.#writing.get(view.name) ?? NONE
  }

  generations(view: CompiledView): readonly Generation[] {
    return this.#generations.get(view.name) ?? NONE
  }
}

class StoredTables implements Tables {
  #directory: Directory
  readonly #lost = new Set<string>()
  readonly #watchers = new Set<() => void>()

  constructor(private readonly options: TablesOptions) {
    this.#directory = directoryOf(options.project, options.known ?? { tables: [], live: {} })
  }

  live(view: CompiledView): OnlineTable | undefined {
    return this.#directory.live(view)
  }

  writing(view: CompiledView): readonly OnlineTable[] {
    return this.#directory.writing(view)
  }

  generations(view: CompiledView): readonly Generation[] {
    return this.#directory.generations(view)
  }

  generation(name: string): Generation | undefined {
    const row = this.state().tables.find((one) => one.name === name)
    const view = row && this.options.project.views.get(row.view)
    return view && this.generations(view).find(({ table }) => table.name === name)
  }

  async nextName(view: CompiledView): Promise<string> {
    return `${view.table}.${await nextNumber(this.options.sql.db<FeatureTables>(), view)}`
  }

  async begin(view: CompiledView, seamMs: number | null): Promise<Generation> {
    const { sql, platform } = this.options
    const name = await sql.transaction(async (tx) => {
      const db = tx.withTables<FeatureTables>()
      const generation = await nextNumber(db, view)
      const row: TableRow = {
        name: `${view.table}.${generation}`,
        view: view.name,
        generation,
        fingerprint: view.fingerprint,
        layout: layoutOf(view),
        state: 'filling',
        seam_ms: seamMs,
        made_ms: platform.clock.nowMs(),
        retired_ms: null,
      }
      await db.insertInto('feature_tables').values(row).execute()
      return row.name
    })
    await this.refresh()
    return this.generation(name)!
  }

  async join(name: string): Promise<void> {
    await this.#setState(name, 'joining')
  }

  async switchTo(name: string, evidence: Readonly<Record<string, unknown>>): Promise<void> {
    const generation = this.generation(name)
    if (!generation) return
    await this.options.decide(generation.row.view, name, evidence)
    await this.refresh()
  }

  lost(name: string): void {
    this.#lost.add(name)
    this.#show(this.state())
  }

  async dropped(name: string): Promise<void> {
    await this.#setState(name, 'dropped')
    this.#lost.delete(name)
  }

  async #setState(name: string, state: TableRow['state']): Promise<void> {
    await this.options.sql
      .db<FeatureTables>()
      .updateTable('feature_tables')
      .set({ state })
      .where('name', '=', name)
      .execute()
    await this.refresh()
  }

  async refresh(): Promise<void> {
    this.#show(await readTables(this.options.sql))
  }

  #show(state: TablesState): void {
    this.#directory = directoryOf(this.options.project, state, this.#lost)
    for (const watcher of this.#watchers) watcher()
  }

  state(): TablesState {
    const { tables, live } = this.#directory.state
    // Others need to know what the store lost, not why.
    return { tables, live: Object.fromEntries(Object.entries(live).filter(([, name]) => !this.#lost.has(name))) }
  }

  watch(change: () => void): Stop {
    const watcher = () => change()
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }
}

/** Dropped ones count: a name is never used again. */
async function nextNumber(db: Kysely<FeatureTables>, view: CompiledView): Promise<number> {
  const { last } = await db
    .selectFrom('feature_tables')
    .select((select) => select.fn.max('generation').as('last'))
    .where('view', '=', view.name)
    .executeTakeFirstOrThrow()
  return Number(last ?? 0) + 1
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
