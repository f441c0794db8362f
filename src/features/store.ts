// The feature store of one data folder: everybody's parts put together. What can be asked of it is in operations.ts.
import path from 'node:path'
import { HeadraceError, type Platform } from '../core/index.js'
import { createKafkaStream, createMemoryStream, type Sql } from '../store/index.js'
import { enginesOnce } from './aggregate/engines-once.js'
import type { CompiledView, FeatureProject } from './compiled.js'
import { type FeaturesConfig, isRedisUsed, kafkaOf } from './config.js'
import { type Duration, durationMs } from './duration.js'
import { createMaterialiser } from './materialise/materialiser.js'
import type { TablesState } from './materialise/table-rows.js'
import { createTables, type Tables } from './materialise/tables.js'
import { createOfflineStore } from './offline/offline-store.js'
import { createMemoryOnlineStore } from './online/memory-online-store.js'
import { createRedisOnlineStore } from './online/redis-online-store.js'
import { answerOnlineReads } from './online/remote-online-store.js'
import type { OnlineStore } from './online/types.js'
import type { FeatureOperations } from './operations.js'
import { createAlerts } from './quality/alerts.js'
import { createQuarantine } from './quality/quarantine.js'
import { createViewChecks } from './quality/view-checks.js'
import { createFeatureReader } from './serve/reader.js'
import type { FeatureReader } from './serve/types.js'
import { StoreOperations, type StoreParts } from './store-operations.js'
import { createEventLog } from './stream/event-log.js'
import { createIngestor } from './stream/ingestor.js'
import { eventRetention } from './stream/retention.js'
import { createStreamIntake } from './stream/stream-intake.js'
import { createStreamMetrics } from './stream/stream-metrics.js'
import type { ServedVector } from './verify/types.js'
import { createConsistencyWatch } from './verify/watch.js'

const FILL_AGAIN_MS = 2_000

export interface FeatureStoreOptions {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly config: FeaturesConfig
  /** The project's folder. */
  readonly root: string
  /** What the store keeps: events, quarantine, the memory store's files, work in progress. */
  readonly folder: string
  readonly redisUrl: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly sql: Sql
  /** The generations of views as they were last seen, when the metadata store is away: shown until `tables.refresh`. */
  readonly known?: TablesState | undefined
  /** Makes requests read another generation of a view, by a decision. */
  readonly decideSwitch: (view: string, table: string, evidence: Readonly<Record<string, unknown>>) => Promise<void>
  /** What was served of a service in [fromMs, toMs), from the log. */
  readonly served: (range: {
    readonly service: string
    readonly fromMs: number
    readonly toMs: number
  }) => AsyncIterable<ServedVector>
  readonly logged: StoreParts['logged']
}

export interface FeatureStore {
  readonly online: OnlineStore
  readonly tables: Tables
  readonly reader: FeatureReader
  readonly operations: FeatureOperations
  /** What a process that owns no store asks through its RemoteReader. */
  answerReads(request: Uint8Array): Promise<Uint8Array>
  /** Catches up with what was taken in before, and begins whatever runs by itself: streams, schedules. */
  start(): Promise<void>
  close(): Promise<void>
}

/** Opens the parts; one that fails closes those before it. */
export async function openFeatureStore(options: FeatureStoreOptions): Promise<FeatureStore> {
  const { platform, project, config, root, folder, redisUrl, environment, sql } = options
  const closers: (() => Promise<void>)[] = []
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    closers.push(() => part.close())
    return part
  }
  try {
    return await open()
  } catch (error) {
    await closeAll()
    throw error
  }

  async function open(): Promise<FeatureStore> {
    const engineOf = enginesOnce()
    const tables = await createTables({ platform, sql, project, known: options.known, decide: options.decideSwitch })
    const isRedis = isRedisUsed(config, redisUrl)
    const online = keep(
      isRedis
        ? await createRedisOnlineStore({ platform, url: redisUrl!, engineOf })
        : await createMemoryOnlineStore({ platform, folder: path.join(folder, 'online'), engineOf }),
    )
    const keptMs = config.eventsKept === undefined ? undefined : durationMs(config.eventsKept as Duration, 'eventsKept')
    const events = keep(
      createEventLog({ platform, folder: path.join(folder, 'events'), retentionMs: eventRetention(project, keptMs) }),
    )
    const quarantine = keep(await createQuarantine({ platform, folder: path.join(folder, 'quarantine') }))
    const offline = keep(
      createOfflineStore({
        platform,
        root,
        environment,
        memoryLimitBytes: config.memoryLimitMb * 2 ** 20,
        ...(config.threads === undefined ? {} : { threads: config.threads }),
        tempFolder: path.join(folder, 'work'),
        eventFiles: (source) => events.files(source),
        eventsSinceMs: (source) => events.sinceMs(source),
      }),
    )
    const alerts = createAlerts(platform)
    const checks = await createViewChecks({ platform, sql, offline, alerts })
    const watch = createConsistencyWatch(platform, alerts, config.verify.minMatchRate)
    const metrics = createStreamMetrics(platform)
    const parts = { platform, project, store: online, tables, log: events, quarantine, metrics, engineOf, offline, sql }
    const ingestor = keep(createIngestor({ ...parts, onLost: (view) => materialiser.lost(view) }))
    const materialiser = keep(
      createMaterialiser({
        ...parts,
        ingestor,
        checks,
        fillAtStart: config.isScheduled,
        isScheduled: config.isScheduled,
      }),
    )
    const kafka = kafkaOf(config)
    const stream = keep(kafka ? createKafkaStream({ platform, ...kafka }) : createMemoryStream({ platform }))
    const topics = [...project.sources.values()].flatMap((source) => (source.kind === 'kafka' ? [source.topic] : []))
    if (topics.length > 0 && !kafka)
      platform.logger.warn(
        { topics },
        'no Kafka brokers are configured (features.kafkaBrokers or KAFKA_BROKERS): these are not read',
      )
    const intake = keep(createStreamIntake({ ...parts, stream, ingestor }))
    const operations = keep(
      new StoreOperations({
        ...options,
        tempFolder: path.join(folder, 'work'),
        online,
        tables,
        ingestor,
        materialiser,
        quarantine,
        offline,
        watch,
        alerts,
        checks,
      }),
    )
    // A generation is read by the definition that it was made by.
    let liveViews: ReadonlyMap<string, CompiledView> = project.views
    const follow = () => {
      liveViews = new Map([...project.views].map(([name, view]) => [name, tables.live(view)?.view ?? view]))
    }
    follow()
    const unfollow = tables.watch(follow)
    closers.push(async () => unfollow())
    let isClosed = false
    let again: { cancel(): void } | undefined
    closers.push(async () => {
      isClosed = true
      again?.cancel()
    })
    /** What is filled and when is in the metadata store: while that is away, requests read what there is. */
    async function fill(): Promise<void> {
      try {
        await materialiser.start()
      } catch (error) {
        if (!(error instanceof HeadraceError && error.retry)) throw error
        if (isClosed) return
        platform.logger.warn({ err: error }, 'views are filled once the metadata store answers')
        again = platform.clock.after(FILL_AGAIN_MS, () => void fill())
      }
    }
    return {
      online,
      tables,
      reader: createFeatureReader({ platform, project, store: online, tables }),
      operations,
      answerReads: (request) => answerOnlineReads(online, liveViews, request),
      async start() {
        await ingestor.start()
        await fill()
        await intake.start()
        const { every } = config.verify
        if (every === undefined) return
        const everyMs = durationMs(every as Duration, 'features.verify.every')
        const stop = watch.start(everyMs, [...project.services.keys()], (service) => operations.verifyNow(service))
        closers.push(async () => stop())
      },
      close: closeAll,
    }
  }
}
