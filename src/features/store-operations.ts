// What is asked of the store's parts, as operations.ts says it.
import path from 'node:path'
import type { Platform } from '../core/index.js'
import { checkValue } from './check-value.js'
import type { CompiledRowView, CompiledService, CompiledView, FeatureProject } from './compiled.js'
import type { FeaturesConfig } from './config.js'
import { encodeKey } from './entity-key.js'
import { FeatureErrors } from './errors.js'
import { Jobs } from './jobs.js'
import type { Tables } from './materialise/tables.js'
import type { OfflineStore } from './offline/types.js'
import type { OnlineRow, OnlineStore } from './online/types.js'
import type {
  FeatureOperations,
  FeatureStatus,
  InferOrder,
  JobView,
  MaterialiseOrder,
  QuarantineView,
  TrainingSetOrder,
  VerifyOrder,
} from './operations.js'
import { checkSet } from './quality/check-set.js'
import { inferExpectations } from './quality/infer.js'
import { qualityTable } from './quality/quality-table.js'
import { expectationsModule } from './quality/snippet.js'
import type { QuarantineFilter, QuarantineStore } from './quality/types.js'
import type { Ingestor } from './stream/ingestor.js'
import type { StreamMetrics } from './stream/stream-metrics.js'
import type { IngestReport } from './stream/types.js'
import type { ServedVector, VerifyReport } from './verify/types.js'
import { verifyServed } from './verify/verify-served.js'

export interface StoreParts {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly config: FeaturesConfig
  readonly root: string
  readonly online: OnlineStore
  readonly tables: Tables
  readonly ingestor: Ingestor
  readonly quarantine: QuarantineStore
  readonly offline: OfflineStore
  readonly metrics: StreamMetrics
  readonly served: (range: {
    readonly service: string
    readonly fromMs: number
    readonly toMs: number
  }) => AsyncIterable<ServedVector>
}

const DAY_MS = 86_400_000
const EVENT_TIME = 'event_timestamp'
const KNOWN_TIME = 'created'

export class StoreOperations implements FeatureOperations {
  readonly #jobs: Jobs
  readonly #verified = new Map<string, VerifyReport>()

  constructor(private readonly parts: StoreParts) {
    this.#jobs = new Jobs(parts.platform)
  }

  async status(): Promise<FeatureStatus> {
    const { project, tables, metrics, platform, online } = this.parts
    const nowMs = platform.clock.nowMs()
    const isReachable = await online.tables().then(
      () => true,
      () => false,
    )
    const views = [...project.views.values()].map(async (view) => {
      const live = tables.live(view)
      const mark = live && isReachable ? await online.readMark(live).catch(() => undefined) : undefined
      const newestMs = metrics.newestEventMs(view.name)
      return {
        view: view.name,
        version: view.version,
        live: live?.name ?? null,
        filling: tables
          .generations(view)
          .filter(({ row }) => row.state === 'filling' || row.state === 'joining')
          .map(({ table }) => table.name),
        freshnessMs: newestMs === undefined ? null : nowMs - newestMs,
        throughKnownMs: mark?.throughKnownMs ?? null,
        keys: mark?.keys ?? null,
        lastMaterialised: null,
      }
    })
    return { store: { kind: online.kind, isReachable }, views: await Promise.all(views) }
  }

  push(source: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<IngestReport> {
    const knownMs = this.parts.platform.clock.nowMs()
    return this.parts.ingestor.push(
      source,
      rows.map((row) => ({ row, knownMs })),
    )
  }

  async writeRows(
    name: string,
    rows: readonly Readonly<Record<string, unknown>>[],
  ): Promise<{ readonly written: number }> {
    const view = this.#view(name)
    const refuse = (why: string) => FeatureErrors.VIEW_NOT_WRITABLE({ view: name, why })
    if (view.kind === 'windows') throw refuse('its features are computed from events; push those')
    if (!view.online) throw refuse('it is not kept online')
    if (this.parts.tables.writing(view).length === 0) throw refuse('it has not been materialised yet')
    const nowMs = this.parts.platform.clock.nowMs()
    const checked = rows.map((row) => onlineRow(view, row, nowMs))
    return { written: await this.parts.ingestor.writeRows(view, checked) }
  }

  async materialise(order: MaterialiseOrder): Promise<JobView> {
    const views = order.views?.map((name) => this.#view(name).name) ?? []
    throw FeatureErrors.NOT_MATERIALISED({ view: views.join(', '), why: 'nothing materialises yet' })
  }

  async trainingSet(order: TrainingSetOrder): Promise<JobView> {
    const { service: name, labels, out, ...rest } = order
    const service = this.#service(name)
    const { root, offline } = this.parts
    return this.#jobs.start('training-set', name, ({ signal, progress }) =>
      offline.trainingSet({
        ...rest,
        service,
        labels,
        out: path.resolve(root, out),
        signal,
        onProgress: ({ step, done, total }) => progress(step, done, total),
      }),
    )
  }

  async verify(order: VerifyOrder): Promise<JobView> {
    const service = this.#service(order.service)
    return this.#jobs.start('verify', service.name, ({ signal }) => this.#verify(service, order, signal))
  }

  async #verify(service: CompiledService, order: VerifyOrder, signal: AbortSignal): Promise<VerifyReport> {
    const { platform, offline, served, config } = this.parts
    const toMs = order.untilMs ?? platform.clock.nowMs()
    const fromMs = order.sinceMs ?? toMs - DAY_MS
    const report = await verifyServed({
      platform,
      service,
      vectors: served({ service: service.name, fromMs, toMs }),
      offline,
      maxVectors: order.limit ?? config.verify.limit,
      ...(order.tolerance === undefined ? {} : { tolerance: order.tolerance }),
      signal,
    })
    this.#verified.set(service.name, report)
    return report
  }

  async infer(order: InferOrder): Promise<JobView> {
    const view = this.#view(order.view)
    const { offline, platform } = this.parts
    const nowMs = platform.clock.nowMs()
    const since = order.sinceMs === undefined ? {} : { sinceMs: order.sinceMs }
    return this.#jobs.start('infer', view.name, ({ signal }) =>
      offline.inspect(
        view,
        async (duck, relation) => {
          const table = qualityTable(duck, view, relation)
          const inferred = await inferExpectations({ table, nowMs, ...since })
          const report =
            view.expectations.length === 0
              ? undefined
              : await checkSet({ table, expectations: view.expectations, nowMs, ...since })
          return { ...inferred, module: expectationsModule(view.name, inferred), report }
        },
        signal,
      ),
    )
  }

  async jobs(): Promise<readonly JobView[]> {
    return this.#jobs.list()
  }

  async job(id: string): Promise<JobView> {
    return this.#jobs.get(id)
  }

  cancel(id: string): Promise<JobView> {
    return this.#jobs.cancel(id)
  }

  async lastVerifications(): Promise<readonly VerifyReport[]> {
    return [...this.#verified.values()]
  }

  async quarantine({ limit = 100, ...filter }: QuarantineFilter & { limit?: number }): Promise<QuarantineView> {
    const { quarantine } = this.parts
    const counts = (await quarantine.counts()).filter(
      ({ of, reason }) => (filter.of ?? of) === of && (filter.reason ?? reason) === reason,
    )
    return { counts, rows: await quarantine.list({ ...filter, limit }) }
  }

  async emptyQuarantine(filter: QuarantineFilter): Promise<{ readonly removed: number }> {
    return { removed: await this.parts.quarantine.remove(filter) }
  }

  close(): Promise<void> {
    return this.#jobs.close()
  }

  #view(name: string): CompiledView {
    const { views } = this.parts.project
    const view = views.get(name)
    if (view === undefined) throw FeatureErrors.VIEW_UNKNOWN({ view: name, known: [...views.keys()].join(', ') })
    return view
  }

  #service(name: string): CompiledService {
    const { services } = this.parts.project
    const service = services.get(name)
    if (service === undefined) throw FeatureErrors.SERVICE_UNKNOWN({ service: name, known: [...services.keys()] })
    return service
  }
}

function onlineRow(view: CompiledRowView, row: Readonly<Record<string, unknown>>, nowMs: number): OnlineRow {
  const own = (name: string) => (Object.hasOwn(row, name) ? row[name] : undefined)
  const eventMs = checkValue('timestamp', own(EVENT_TIME) ?? nowMs, EVENT_TIME) as number
  return {
    key: encodeKey(view.keys, own),
    eventMs,
    knownMs: (checkValue('timestamp', own(KNOWN_TIME), KNOWN_TIME) as number | null) ?? nowMs,
    values: view.features.map(({ name, type }) => checkValue(type, own(name), `"${name}"`)),
  }
}
