// What is asked of the store's parts, as operations.ts says it.
import path from 'node:path'
import type { Platform } from '../core/index.js'
import { checkArrived } from './check-value.js'
import type { CompiledRowView, CompiledService, CompiledView, FeatureProject } from './compiled.js'
import type { FeaturesConfig } from './config.js'
import { type Duration, durationMs } from './duration.js'
import { encodeKey } from './entity-key.js'
import { FeatureErrors } from './errors.js'
import { Jobs } from './jobs.js'
import type { MaterialiseReport, Materialiser } from './materialise/materialiser.js'
import type { Tables } from './materialise/tables.js'
import { type LoggedRow, writeServedTrainingSet } from './offline/served-training-set.js'
import type { OfflineStore } from './offline/types.js'
import type { OnlineRow, OnlineStore } from './online/types.js'
import type {
  CheckOrder,
  FeatureOperations,
  FeatureStatus,
  InferOrder,
  JobView,
  LoggedTrainingSetOrder,
  MaterialiseOrder,
  QuarantineView,
  RetryReport,
  TrainingSetOrder,
  VerifyOrder,
  ViewStatus,
} from './operations.js'
import type { Alerts } from './quality/alerts.js'
import { inferExpectations } from './quality/infer.js'
import { qualityTable } from './quality/quality-table.js'
import { retryRows } from './quality/retry.js'
import { expectationsModule } from './quality/snippet.js'
import type { QuarantineFilter, QuarantineStore } from './quality/types.js'
import type { ViewChecks } from './quality/view-checks.js'
import type { Ingestor } from './stream/ingestor.js'
import type { IngestReport } from './stream/types.js'
import type { ServedVector, VerifyReport } from './verify/types.js'
import { verifyServed } from './verify/verify-served.js'
import type { ConsistencyWatch } from './verify/watch.js'

export interface StoreParts {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly config: FeaturesConfig
  readonly root: string
  readonly online: OnlineStore
  readonly tables: Tables
  readonly ingestor: Ingestor
  readonly materialiser: Materialiser
  readonly watch: ConsistencyWatch
  readonly alerts: Alerts
  readonly checks: ViewChecks
  readonly quarantine: QuarantineStore
  readonly offline: OfflineStore
  readonly served: (range: {
    readonly service: string
    readonly fromMs: number
    readonly toMs: number
  }) => AsyncIterable<ServedVector>
  /** The same with the models' inputs, and the outcomes known before `toMs`. */
  readonly logged: (range: {
    readonly service: string
    readonly fromMs: number
    readonly toMs: number
    readonly outcome: string | undefined
  }) => AsyncIterable<LoggedRow>
  /** Work in progress. */
  readonly tempFolder: string
}

const DAY_MS = 86_400_000
const EVENT_TIME = 'event_timestamp'
const KNOWN_TIME = 'created'

export class StoreOperations implements FeatureOperations {
  readonly #jobs: Jobs

  constructor(private readonly parts: StoreParts) {
    this.#jobs = new Jobs(parts.platform)
  }

  async status(): Promise<FeatureStatus> {
    const { project, tables, platform, online, materialiser, alerts } = this.parts
    const nowMs = platform.clock.nowMs()
    const isReachable = await online.tables().then(
      () => true,
      () => false,
    )
    const standing = new Map((await materialiser.status()).map((one) => [one.view, one]))
    const views = [...project.views.values()].map(async (view): Promise<ViewStatus> => {
      const live = tables.live(view)
      const mark = live && isReachable ? await online.readMark(live).catch(() => undefined) : undefined
      const { newestEventMs = null, filling = [], last = null } = standing.get(view.name) ?? {}
      return {
        view: view.name,
        version: view.version,
        live: live?.name ?? null,
        filling,
        freshnessMs: newestEventMs === null ? null : nowMs - newestEventMs,
        throughKnownMs: mark?.throughKnownMs ?? null,
        keys: mark?.keys ?? null,
        lastMaterialised: last && {
          state: last.state,
          mode: last.mode,
          startedMs: last.started_ms,
          endedMs: last.ended_ms,
          keys: last.keys,
          quarantined: last.quarantined,
          problem: last.problem,
        },
      }
    })
    return { store: { kind: online.kind, isReachable }, views: await Promise.all(views), alerts: alerts.list() }
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

  async materialise({ views: names, full, untilMs }: MaterialiseOrder): Promise<JobView> {
    const { project, materialiser, platform } = this.parts
    const views = names
      ? names.map((name) => this.#view(name))
      : [...project.views.values()].filter(({ online, source }) => online && source !== undefined)
    const until = untilMs ?? platform.clock.nowMs()
    const of = views.map(({ name }) => name).join(', ')
    return this.#jobs.start('materialise', of, async ({ signal, progress }) => {
      const reports: MaterialiseReport[] = []
      // One after the other: reading sources is heavy.
      for (const view of views) {
        signal.throwIfAborted()
        progress(view.name, reports.length, views.length)
        reports.push(
          await materialiser.materialise({
            view: view.name,
            ...(full === undefined ? {} : { full }),
            untilMs: until,
            signal,
            onProgress: ({ step, keys }) =>
              progress(`${view.name}: ${step}, ${keys} keys`, reports.length, views.length),
          }),
        )
      }
      return { views: reports }
    })
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

  async trainingSetFromLog(order: LoggedTrainingSetOrder): Promise<JobView> {
    const { platform, root, logged, tempFolder, config } = this.parts
    const service = this.#service(order.service)
    const { sinceMs: fromMs = 0, untilMs: toMs = platform.clock.nowMs(), outcome } = order
    return this.#jobs.start('training-set', service.name, ({ signal }) =>
      writeServedTrainingSet({
        service,
        rows: logged({ service: service.name, fromMs, toMs, outcome }),
        out: path.resolve(root, order.out),
        tempFolder,
        memoryLimitBytes: config.memoryLimitMb * 2 ** 20,
        threads: config.threads ?? 2,
        signal,
      }),
    )
  }

  async verify(order: VerifyOrder): Promise<JobView> {
    const service = this.#service(order.service)
    return this.#jobs.start('verify', service.name, async ({ signal }) => {
      const report = await this.#verify(service, order, signal)
      this.parts.watch.report(report)
      return report
    })
  }

  /** As the schedule wants it. */
  verifyNow(name: string): Promise<VerifyReport> {
    const { config, platform } = this.parts
    const sinceMs = platform.clock.nowMs() - durationMs(config.verify.since as Duration, 'features.verify.since')
    return this.#verify(this.#service(name), { service: name, sinceMs }, undefined)
  }

  async #verify(service: CompiledService, order: VerifyOrder, signal: AbortSignal | undefined): Promise<VerifyReport> {
    const { platform, offline, served, config } = this.parts
    const toMs = order.untilMs ?? platform.clock.nowMs()
    const fromMs = order.sinceMs ?? toMs - DAY_MS
    return verifyServed({
      platform,
      service,
      vectors: served({ service: service.name, fromMs, toMs }),
      offline,
      maxVectors: order.limit ?? config.verify.limit,
      ...(order.tolerance === undefined ? {} : { tolerance: order.tolerance }),
      ...(signal === undefined ? {} : { signal }),
    })
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
          return { ...inferred, module: expectationsModule(view.name, inferred) }
        },
        signal,
      ),
    )
  }

  async check(order: CheckOrder): Promise<JobView> {
    const view = this.#view(order.view)
    const since = order.sinceMs === undefined ? {} : { sinceMs: order.sinceMs }
    return this.#jobs.start('check', view.name, ({ signal }) => this.parts.checks.check(view, { ...since, signal }))
  }

  retryQuarantine(filter: QuarantineFilter & { readonly of: string }): Promise<RetryReport> {
    const { quarantine, ingestor, platform } = this.parts
    return retryRows(quarantine, filter, (source, events) => ingestor.push(source, events), platform.clock.nowMs())
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
    return this.parts.watch.last()
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
    if (view !== undefined) return view
    // Who names a source means the rows that its views read.
    const reading = [...views.values()].filter((one) => one.source?.name === name || one.stream?.name === name)
    const known = (reading.length > 0 ? reading : [...views.values()]).map((one) => one.name).join(', ')
    throw FeatureErrors.VIEW_UNKNOWN({ view: name, known, isSource: reading.length > 0 })
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
  const eventMs = checkArrived('timestamp', own(EVENT_TIME) ?? nowMs, EVENT_TIME) as number
  return {
    key: encodeKey(view.keys, own),
    eventMs,
    knownMs: (checkArrived('timestamp', own(KNOWN_TIME), KNOWN_TIME) as number | null) ?? nowMs,
    values: view.features.map(({ name, type }) => checkArrived(type, own(name), `"${name}"`)),
  }
}
