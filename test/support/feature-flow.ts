// The flow of data of a feature project in one folder, put together as app does: tables by decisions, event log, memory store, ingestor.
import { join } from 'node:path'
import { featureSwitchKind, switching } from '../../src/app/features/switch-decision.js'
import { type Platform, testPlatform } from '../../src/core/index.js'
import { createDecisions, type Decisions } from '../../src/decisions/index.js'
import { createWindowEngine } from '../../src/features/aggregate/engine.js'
import type { WindowEngine } from '../../src/features/aggregate/types.js'
import { compileFeatures } from '../../src/features/compile.js'
import type { CompiledView, FeatureProject } from '../../src/features/compiled.js'
import { createMaterialiser, type Materialiser } from '../../src/features/materialise/materialiser.js'
import { createTables, type Tables } from '../../src/features/materialise/tables.js'
import type { HistoryEvent, HistoryRow, OfflineStore } from '../../src/features/offline/types.js'
import { createMemoryOnlineStore } from '../../src/features/online/memory-online-store.js'
import type { OnlineStore } from '../../src/features/online/types.js'
import { createEventLog, type PositionedEventLog } from '../../src/features/stream/event-log.js'
import { createIngestor, type Ingestor } from '../../src/features/stream/ingestor.js'
import { createStreamMetrics, type StreamMetrics } from '../../src/features/stream/stream-metrics.js'
import type { QuarantinedRow } from '../../src/features/stream/types.js'
import type { Value } from '../../src/features/value.js'
import { openSql, type Sql } from '../../src/store/index.js'

export interface FlowOptions {
  readonly folder: string
  readonly definitions: readonly unknown[]
  readonly platform?: Platform
  /** Default: a memory store in the folder. */
  readonly store?: OnlineStore
  readonly wrapStore?: (store: OnlineStore) => OnlineStore
  readonly wrapSql?: (sql: Sql) => Sql
  readonly onLost?: (view: CompiledView) => void
  readonly maxWaiting?: number
  /** Of the memory store. */
  readonly checkpointMs?: number
  /** Default: a batch source without rows. */
  readonly offline?: Pick<OfflineStore, 'newestRows' | 'events' | 'newestKnownMs'>
  readonly fillAtStart?: boolean
}

export interface Flow {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly sql: Sql
  readonly decisions: Decisions
  readonly store: OnlineStore
  readonly tables: Tables
  readonly log: PositionedEventLog
  readonly ingestor: Ingestor
  readonly materialiser: Materialiser
  readonly metrics: StreamMetrics
  readonly quarantined: QuarantinedRow[]
  readonly engineOf: (view: Extract<CompiledView, { kind: 'windows' }>) => WindowEngine
  view(name: string): CompiledView
  /** A live generation of each view, empty but for what the log has. */
  openAll(): Promise<void>
  /** Values of the live generation. */
  read(view: string, key: string, atMs?: number): Promise<readonly Value[] | undefined>
  close(): Promise<void>
}

export async function openFlow(options: FlowOptions): Promise<Flow> {
  const { folder } = options
  const platform = options.platform ?? testPlatform()
  const project = compileFeatures(options.definitions)
  const opened = await openSql({ file: join(folder, 'metadata.db'), platform })
  const sql = options.wrapSql?.(opened) ?? opened
  const decisions = await createDecisions({ sql, platform, kinds: [featureSwitchKind(platform)] })
  const engines = new Map<CompiledView, WindowEngine>()
  const engineOf: Flow['engineOf'] = (view) => {
    let engine = engines.get(view)
    if (!engine) {
      engine = createWindowEngine(view)
      engines.set(view, engine)
    }
    return engine
  }
  const { checkpointMs } = options
  const kept = { platform, folder: join(folder, 'online'), engineOf }
  const made =
    options.store ??
    (await createMemoryOnlineStore({ ...kept, ...(checkpointMs === undefined ? {} : { checkpointMs }) }))
  const store = options.wrapStore?.(made) ?? made
  const decide = async (view: string, table: string, evidence: Readonly<Record<string, unknown>>) =>
    void (await decisions.apply(switching(view, table), evidence, { kind: 'system', name: 'headrace' }))
  const tables = await createTables({ platform, sql, project, decide })
  const log = createEventLog({ platform, folder: join(folder, 'events'), retentionMs: () => undefined })
  const metrics = createStreamMetrics(platform)
  const quarantined: QuarantinedRow[] = []
  const ingestor = createIngestor({
    platform,
    project,
    store,
    tables,
    log,
    metrics,
    engineOf,
    quarantine: { put: async (rows) => void quarantined.push(...rows) },
    onLost: options.onLost ?? ((view) => materialiser.lost(view)),
    ...(options.maxWaiting === undefined ? {} : { maxWaiting: options.maxWaiting }),
  })
  const materialiser = createMaterialiser({
    platform,
    sql,
    project,
    store,
    tables,
    offline: options.offline ?? arrayOffline({}),
    ingestor,
    log,
    metrics,
    engineOf,
    quarantine: { put: async (rows) => void quarantined.push(...rows) },
    ...(options.fillAtStart === undefined ? {} : { fillAtStart: options.fillAtStart }),
  })
  const view = (name: string) => project.views.get(name)!
  return {
    platform,
    project,
    sql,
    decisions,
    store,
    tables,
    log,
    ingestor,
    materialiser,
    metrics,
    quarantined,
    engineOf,
    view,
    async openAll() {
      for (const one of project.views.values()) {
        if (tables.live(one)) continue
        const { table } = await tables.begin(one, null)
        const mark = { fingerprint: one.fingerprint, throughKnownMs: null, seamMs: null, keys: 0, writtenMs: 0 }
        await store.writeMark(table, mark)
        await tables.join(table.name)
        await ingestor.catchUp(table.name)
        await tables.switchTo(table.name, {})
      }
    },
    async read(name, key, atMs = platform.clock.nowMs()) {
      const table = tables.live(view(name))
      if (!table) return undefined
      return (await store.read([{ table, keys: [key] }], atMs))[0]![0]?.values
    },
    async close() {
      await materialiser.close()
      await ingestor.close()
      await log.close()
      if (!options.store) await store.close()
      await opened.close()
    },
  }
}

export interface ArrayHistory {
  readonly rows?: readonly HistoryRow[]
  readonly events?: readonly HistoryEvent[]
}

/** The offline store's readings for a backfill, by the obvious means. `batch`: rows or events that it gives at once. */
export function arrayOffline(
  history: Readonly<Record<string, ArrayHistory>>,
  batch = 3,
): Pick<OfflineStore, 'newestRows' | 'events' | 'newestKnownMs'> {
  const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
  function* batches<T>(list: readonly T[]): Generator<readonly T[]> {
    for (let i = 0; i < list.length; i += batch) yield list.slice(i, i + batch)
  }
  return {
    async *newestRows({ name }, { afterKnownMs = Number.NEGATIVE_INFINITY, throughKnownMs, afterKey }) {
      const newest = new Map<string, HistoryRow>()
      for (const row of history[name]?.rows ?? []) {
        if (row.knownMs <= afterKnownMs || row.knownMs > throughKnownMs) continue
        if (afterKey !== undefined && row.key <= afterKey) continue
        const there = newest.get(row.key)
        if (!there || row.eventMs > there.eventMs) newest.set(row.key, row)
      }
      yield* batches([...newest.values()].sort(byKey))
    },
    async newestKnownMs({ name }, throughKnownMs) {
      const { rows = [], events = [] } = history[name] ?? {}
      const known = [...rows, ...events].map(({ knownMs }) => knownMs).filter((knownMs) => knownMs <= throughKnownMs)
      return known.length === 0 ? undefined : Math.max(...known)
    },
    async *events({ name }, { fromMs, beforeMs, throughKnownMs, afterKey }) {
      const events = (history[name]?.events ?? []).filter(
        ({ key, eventMs, knownMs }) =>
          eventMs >= fromMs &&
          eventMs < beforeMs &&
          knownMs <= throughKnownMs &&
          (afterKey === undefined || key > afterKey),
      )
      yield* batches([...events].sort((a, b) => byKey(a, b) || a.knownMs - b.knownMs))
    },
  }
}
