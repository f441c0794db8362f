// Fills the online store. A full run fills a new generation beside the live one and switches to it by a decision when it is whole, so nobody ever
// reads half a view; an incremental run adds to the live one what became known since the last. One run at a time per view; a run that was
// killed goes on where it was.
import { type Platform, type Timer, toHeadraceError } from '../../core/index.js'
import type { Sql } from '../../store/index.js'
import type { WindowEngine } from '../aggregate/types.js'
import type { CompiledView, CompiledWindowView, FeatureProject } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import type { OfflineStore } from '../offline/types.js'
import type { OnlineStore, TableMark } from '../online/types.js'
import type { ViewChecks } from '../quality/view-checks.js'
import { latenessMsOf, seamOf } from '../seam.js'
import type { PositionedEventLog } from '../stream/event-log.js'
import type { Ingestor } from '../stream/ingestor.js'
import type { StreamMetrics } from '../stream/stream-metrics.js'
import type { Quarantine } from '../stream/types.js'
import { fill } from './fill.js'
import { createRuns, type Runs } from './runs.js'
import type { RunRow } from './table-rows.js'
import type { Generation, Tables } from './tables.js'

export interface MaterialiseRequest {
  readonly view: string
  /** Everything again, into a new generation. Default false: what became known since the last run, where that can be told. */
  readonly full?: boolean
  /** Rows known up to here; default now. */
  readonly untilMs?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: MaterialiseProgress) => void
}

export interface MaterialiseProgress {
  readonly step: 'batch' | 'stream' | 'switch'
  readonly keys: number
}

export interface MaterialiseReport {
  readonly view: string
  readonly table: string
  readonly mode: 'full' | 'incremental'
  /** Rows or keys written from the batch source, by an interrupted run before this one too. */
  readonly keys: number
  readonly quarantined: number
  readonly throughKnownMs: number
  /** Where the stream takes over from the batch source. */
  readonly seamMs: number | null
  readonly elapsedMs: number
}

export interface MaterialiseStatus {
  readonly view: string
  readonly live: string | null
  readonly filling: readonly string[]
  readonly newestEventMs: number | null
  readonly running: MaterialiseProgress | null
  readonly last: RunRow | null
}

export interface Materialiser {
  /** Throws FEATURE_VIEW_UNKNOWN, FEATURE_NOT_MATERIALISED, FEATURE_MATERIALISE_RUNNING, FEATURE_MATERIALISE_CANCELLED, and what sources and stores throw. */
  materialise(request: MaterialiseRequest): Promise<MaterialiseReport>
  /** Whether one was running. It ends at the next batch; what was live stays. */
  cancel(view: string): boolean
  /** Fills what has no filled generation, goes on with what was interrupted, and from then on runs what is due and watches the store. */
  start(): Promise<void>
  /** The store has nothing of the view's live table any more. */
  lost(view: CompiledView): void
  status(): Promise<readonly MaterialiseStatus[]>
  close(): Promise<void>
}

export interface MaterialiserOptions {
  readonly platform: Platform
  readonly sql: Sql
  readonly project: FeatureProject
  readonly store: OnlineStore
  readonly tables: Tables
  readonly offline: Pick<OfflineStore, 'newestRows' | 'events' | 'newestKnownMs'>
  readonly ingestor: Pick<Ingestor, 'catchUp'>
  readonly log: Pick<PositionedEventLog, 'sinceMs'>
  readonly quarantine: Pick<Quarantine, 'put'>
  /** What is expected of sources and views as a whole; default: nothing. */
  readonly checks?: Pick<ViewChecks, 'before' | 'after'>
  readonly metrics: StreamMetrics
  readonly engineOf: (view: CompiledWindowView) => WindowEngine
  /** Views that have a batch source are filled at the start when they are not; default true. Those of a stream alone always are. */
  readonly fillAtStart?: boolean
  /** Whether views are materialised as often as their `every` says; default true. */
  readonly isScheduled?: boolean
  /** How long a generation that was switched from stays, and with it the way back; default 1 h. */
  readonly graceMs?: number
  /** How often the store is asked whether it still has its tables; default 2 s. */
  readonly checkMs?: number
  /** What an incremental run reads again of a source without a known time: rows that came in after they happened; default 1 d. */
  readonly overlapMs?: number
}

interface Running {
  readonly abort: AbortController
  readonly ended: Promise<unknown>
  progress: MaterialiseProgress
}

const RETRY_MS = 30_000
const SWEEP_MS = 60_000

export function createMaterialiser(options: MaterialiserOptions): Materialiser {
  return new ViewMaterialiser(options)
}

class ViewMaterialiser implements Materialiser {
  readonly #runs: Runs
  readonly #running = new Map<string, Running>()
  readonly #judging = new Set<Promise<void>>()
  readonly #timers = new Map<string, Timer>()
  readonly #finished
  readonly #written
  readonly #warmStarts
  #isClosed = false

  constructor(private readonly options: MaterialiserOptions) {
    this.#runs = createRuns(options.sql)
    const { metrics } = options.platform
    this.#finished = metrics.counter({
      name: 'ml_feature_materialise_runs_total',
      help: 'Materialisations that ended, by view, mode and how: done, failed, cancelled.',
      labels: ['view', 'mode', 'result'],
    })
    this.#written = metrics.counter({
      name: 'ml_feature_materialise_keys_total',
      help: 'Rows or window states written by materialisations.',
      labels: ['view'],
    })
    this.#warmStarts = metrics.counter({
      name: 'ml_feature_warm_starts_total',
      help: 'Times that a view was found gone from the online store and was filled again.',
      labels: ['view'],
    })
  }

  async materialise(request: MaterialiseRequest): Promise<MaterialiseReport> {
    const view = this.options.project.views.get(request.view)
    if (!view) {
      const known = [...this.options.project.views.keys()].join(', ')
      throw FeatureErrors.VIEW_UNKNOWN({ view: request.view, known })
    }
    if (!view.online) throw FeatureErrors.NOT_MATERIALISED({ view: view.name, why: 'it is defined with online: false' })
    if (this.#running.has(view.name) || this.#isClosed) throw FeatureErrors.MATERIALISE_RUNNING({ view: view.name })
    const abort = new AbortController()
    const stop = () => abort.abort()
    request.signal?.addEventListener('abort', stop)
    if (request.signal?.aborted) stop()
    const work = this.#run(view, request, abort.signal)
    const running: Running = { abort, ended: work.catch(() => undefined), progress: { step: 'batch', keys: 0 } }
    this.#running.set(view.name, running)
    const report = await work.finally(() => {
      this.#running.delete(view.name)
      request.signal?.removeEventListener('abort', stop)
    })
    // Judging the rows takes a while, and nobody who wants to fill the view again is to wait for it.
    await this.#judge(view)
    return report
  }

  async #judge(view: CompiledView): Promise<void> {
    if (this.options.checks === undefined || this.#isClosed) return
    const judging = this.options.checks.after(view)
    this.#judging.add(judging)
    await judging.finally(() => this.#judging.delete(judging))
  }

  cancel(view: string): boolean {
    const running = this.#running.get(view)
    running?.abort.abort()
    return running !== undefined
  }

  async #run(view: CompiledView, request: MaterialiseRequest, signal: AbortSignal): Promise<MaterialiseReport> {
    const { platform, metrics } = this.options
    const startedMs = platform.clock.monotonicMs()
    const tell = (progress: MaterialiseProgress) => {
      const running = this.#running.get(view.name)
      if (running) running.progress = progress
      request.onProgress?.(progress)
    }
    const run = await this.#begin(view, request)
    const { table, row } = this.options.tables.generation(run.table_name)!
    let { keys, quarantined, newest_event_ms } = run
    try {
      // Windows that have joined the stream have all of the batch source.
      if (view.source !== undefined && (view.kind === 'rows' || row.state === 'filling')) {
        await this.options.checks?.before(view)
        const filled = await fill({
          ...this.options,
          table,
          run: `${run.table_name} ${run.started_ms}`,
          afterKnownMs: run.after_known_ms ?? undefined,
          throughKnownMs: run.through_known_ms,
          seamMs: row.seam_ms,
          signal,
          onProgress: (done) => tell({ step: 'batch', keys: done }),
        })
        this.#written.with(view.name).inc(filled.keys - keys)
        keys = filled.keys
        quarantined += filled.quarantined
        newest_event_ms = filled.newestEventMs ?? newest_event_ms
        await this.#runs.change(view.name, { keys, quarantined, newest_event_ms })
      }
      if (newest_event_ms !== null) metrics.saw(view.name, newest_event_ms)
      signal.throwIfAborted()
      await this.#complete(view, run, keys, tell)
    } catch (error) {
      await this.#failed(view, run, error, signal)
      throw signal.aborted ? FeatureErrors.MATERIALISE_CANCELLED({ view: view.name }, error) : error
    }
    await this.#runs.change(view.name, { state: 'done', ended_ms: platform.clock.nowMs(), problem: null })
    this.#finished.with(view.name, run.mode, 'done').inc()
    const elapsedMs = platform.clock.monotonicMs() - startedMs
    const report: MaterialiseReport = {
      view: view.name,
      table: table.name,
      mode: run.mode,
      keys,
      quarantined,
      throughKnownMs: run.through_known_ms,
      seamMs: row.seam_ms,
      elapsedMs,
    }
    platform.logger.info({ ...report }, 'a feature view is materialised')
    return report
  }

  /** The run to do: the interrupted one, if its definition is still this one, or a new one. */
  async #begin(view: CompiledView, request: MaterialiseRequest): Promise<RunRow> {
    const { platform, tables, store } = this.options
    const nowMs = platform.clock.nowMs()
    const last = await this.#runs.get(view.name)
    const isOpen = last?.state === 'running' || last?.state === 'failed'
    const left = isOpen ? tables.generation(last.table_name) : undefined
    if (last && left && isPresent(left, view) && (await store.readMark(left.table)) !== undefined) {
      const isWanted = last.mode === 'full' ? !left.isLive : request.full !== true && left.isLive
      if (isWanted) {
        await this.#runs.change(view.name, { state: 'running', problem: null })
        return last
      }
    }
    const through = request.untilMs ?? nowMs
    // What an interrupted run has filled may be gone; that everything was to be filled again stands.
    const isFull = request.full === true || (last?.mode === 'full' && left !== undefined && !left.isLive)
    const since = isFull ? undefined : await this.#incrementalFrom(view)
    const generation = since ?? {
      table: (await this.#newGeneration(view, nowMs, isFull)).table,
      afterKnownMs: null,
    }
    const run: RunRow = {
      view: view.name,
      table_name: generation.table.name,
      mode: since ? 'incremental' : 'full',
      after_known_ms: generation.afterKnownMs,
      through_known_ms: through,
      state: 'running',
      keys: 0,
      quarantined: 0,
      newest_event_ms: null,
      started_ms: nowMs,
      ended_ms: null,
      problem: null,
    }
    await this.#runs.begin(run)
    return run
  }

  /** Only newest rows can be added to: windows would count again what they hold. */
  async #incrementalFrom(view: CompiledView) {
    const { tables, store, overlapMs = 86_400_000 } = this.options
    const live = tables.generations(view).find(({ isLive }) => isLive)
    if (view.kind !== 'rows' || view.source === undefined || !live || !isPresent(live, view)) return undefined
    const through = (await store.readMark(live.table))?.throughKnownMs
    if (through === undefined || through === null) return undefined
    return { table: live.table, afterKnownMs: view.source.knownTime === undefined ? through - overlapMs : through }
  }

  async #newGeneration(view: CompiledView, nowMs: number, isFull: boolean): Promise<Generation> {
    const { tables, store, offline, log, platform } = this.options
    // What an earlier run left unfinished is of no use any more.
    for (const { table, row, isLive } of tables.generations(view)) {
      if (!isLive && row.state !== 'whole') await this.#drop(table.name)
    }
    const there = await this.#generationThere(view, isFull)
    if (there) return there
    let seamMs: number | null = null
    if (view.kind === 'windows' && view.source !== undefined && view.stream !== undefined) {
      const latenessMs = latenessMsOf(view.stream)
      const stream = { sinceMs: await log.sinceMs(view.stream.name), latenessMs }
      const seam = seamOf(await offline.newestKnownMs(view, nowMs), stream, view.hopMs)
      seamMs = seam?.seamMs ?? nowMs - view.maxWindowMs - view.hopMs
      // A shorter one says little: nothing may have happened in it, and events may be as late.
      if (seam !== undefined && seam.gapMs > latenessMs) {
        platform.logger.warn(
          { view: view.name, seamMs, gapMs: seam.gapMs },
          'the batch source ends before the kept events of the stream begin: what happened between is in neither',
        )
      }
    }
    const generation = await tables.begin(view, seamMs)
    await store.writeMark(generation.table, this.#mark(view, null, seamMs, 0))
    // Newest rows may arrive in any order, from the batch source and the stream at once; windows wait for the batch source.
    if (view.kind === 'rows') await tables.join(generation.table.name)
    return tables.generation(generation.table.name)!
  }

  /**
   * A whole generation that the store has under the next name: another replica's, or one whose metadata was lost. It is taken over; what is not
   * whole, or of another definition, is left to whoever fills it, and its name is passed over.
   */
  async #generationThere(view: CompiledView, isFull: boolean): Promise<Generation | undefined> {
    const { tables, store } = this.options
    for (;;) {
      const name = await tables.nextName(view)
      const mark = await store.readMark({ view, name })
      if (mark === undefined) return undefined
      const isUsable = !isFull && mark.fingerprint === view.fingerprint && mark.throughKnownMs !== null
      await tables.begin(view, isUsable ? mark.seamMs : null)
      if (isUsable) {
        await tables.join(name)
        return tables.generation(name)!
      }
      await tables.dropped(name)
    }
  }

  async #complete(
    view: CompiledView,
    run: RunRow,
    keys: number,
    tell: (progress: MaterialiseProgress) => void,
  ): Promise<void> {
    const { tables, store, ingestor } = this.options
    const { table, row } = tables.generation(run.table_name)!
    if (row.state === 'filling') await tables.join(table.name)
    if (view.stream !== undefined) {
      tell({ step: 'stream', keys })
      await ingestor.catchUp(table.name)
    }
    // A store that was emptied meanwhile has only the end of it: this run is worth nothing, the next begins anew.
    if ((await store.readMark(table)) === undefined)
      throw FeatureErrors.NOT_MATERIALISED({ view: view.name, why: 'the online store was emptied while it was filled' })
    tell({ step: 'switch', keys })
    await store.writeMark(table, this.#mark(view, run.through_known_ms, row.seam_ms, keys))
    await store.flush()
    if (run.mode === 'full' && !tables.generation(table.name)!.isLive) {
      await tables.switchTo(table.name, { keys, throughKnownMs: run.through_known_ms, startedMs: run.started_ms })
    }
  }

  async #failed(view: CompiledView, run: RunRow, error: unknown, signal: AbortSignal): Promise<void> {
    const { platform } = this.options
    // Closing is like being killed: the next start goes on.
    if (this.#isClosed) return
    const state = signal.aborted ? 'cancelled' : 'failed'
    // What a cancelled run was torn out of says nothing to anybody.
    const problem = signal.aborted ? null : toHeadraceError(error).message
    this.#finished.with(view.name, run.mode, state).inc()
    try {
      await this.#runs.change(view.name, { state, ended_ms: platform.clock.nowMs(), problem })
      if (signal.aborted && run.mode === 'full') await this.#drop(run.table_name)
    } catch (cause) {
      platform.logger.warn({ err: cause, view: view.name }, 'how a materialisation ended could not be noted')
    }
  }

  async start(): Promise<void> {
    const { project, fillAtStart = true, tables } = this.options
    for (const run of await this.#runs.all()) {
      if (run.newest_event_ms !== null) this.options.metrics.saw(run.view, run.newest_event_ms)
    }
    const due: CompiledView[] = []
    for (const view of project.views.values()) {
      if (!view.online) continue
      const live = tables.generations(view).find(({ isLive }) => isLive)
      if (live && (await this.#isGone(live))) {
        this.#noteLoss(view, live.table.name)
        due.push(view)
        continue
      }
      const last = await this.#runs.get(view.name)
      const isWanted = fillAtStart || view.source === undefined
      // A person may have undone the switch to what is filled already.
      const isFilled = tables.generations(view).some((one) => one.row.state === 'whole' && isPresent(one, view))
      if (last?.state === 'running' || (isWanted && !isFilled)) due.push(view)
      else if (view.kind === 'rows' && !live && !isFilled) await this.#openEmpty(view)
    }
    this.#again('check', this.options.checkMs ?? 2_000, () => this.#check())
    this.#again('sweep', SWEEP_MS, () => this.#sweep())
    const { isScheduled = true } = this.options
    const scheduled = [...project.views.values()].filter((view) => isScheduled && view.online && view.source)
    for (const view of scheduled) if (!due.includes(view)) await this.#schedule(view)
    // The schedule of what is filled now begins when it is.
    void this.#fillAll(due).then(async () => {
      const { clock } = this.options.platform
      for (const view of scheduled) if (due.includes(view) && !this.#isClosed) await this.#schedule(view, clock.nowMs())
    })
  }

  lost(view: CompiledView): void {
    const { tables, project } = this.options
    if (this.#isClosed || this.#running.has(view.name)) return
    const isLive = tables.generations(view).some(({ isLive: live }) => live)
    // What is lost beside the live one is its run's affair.
    if (isLive || !project.views.has(view.name)) return
    this.#noteLoss(view, undefined)
    void this.#fillAll([view])
  }

  async status(): Promise<readonly MaterialiseStatus[]> {
    const { project, tables, metrics } = this.options
    const runs = new Map((await this.#runs.all()).map((run) => [run.view, run]))
    return [...project.views.values()]
      .filter(({ online }) => online)
      .map((view) => ({
        view: view.name,
        live: tables.live(view)?.name ?? null,
        filling: tables
          .generations(view)
          .filter(({ row }) => row.state === 'filling' || row.state === 'joining')
          .map(({ table }) => table.name),
        newestEventMs: metrics.newestEventMs(view.name) ?? runs.get(view.name)?.newest_event_ms ?? null,
        running: this.#running.get(view.name)?.progress ?? null,
        last: runs.get(view.name) ?? null,
      }))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers.values()) timer.cancel()
    for (const { abort } of this.#running.values()) abort.abort()
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
    await Promise.all(this.#judging)
  }

  /** One after the other: reading sources is heavy. */
  async #fillAll(views: readonly CompiledView[]): Promise<void> {
    for (const view of views) {
      if (this.#isClosed) return
      try {
        await this.materialise({ view: view.name })
      } catch (error) {
        if (this.#isClosed) return
        this.options.platform.logger.error(
          { err: error, view: view.name, retryMs: RETRY_MS },
          'a feature view could not be materialised; requests get what was live before, or defaults',
        )
        this.#timers.get(`fill ${view.name}`)?.cancel()
        const timer = this.options.platform.clock.after(RETRY_MS, () => void this.#fillAll([view]))
        this.#timers.set(`fill ${view.name}`, timer)
      }
    }
  }

  /** `triedMs` is when this process tried last: a run that cannot begin, or goes on with an older one, is not due again at once. */
  async #schedule(view: CompiledView, triedMs = Number.NEGATIVE_INFINITY): Promise<void> {
    const { everyMs } = view
    if (everyMs === undefined) return
    const { clock } = this.options.platform
    const last = await this.#runs.get(view.name)
    const dueMs = Math.max(last?.started_ms ?? Number.NEGATIVE_INFINITY, triedMs) + everyMs
    const waitMs = Math.max(0, Math.min(everyMs, dueMs - clock.nowMs()))
    const timer = clock.after(waitMs, async () => {
      const startedMs = clock.nowMs()
      if (!this.#running.has(view.name)) await this.#fillAll([view])
      if (!this.#isClosed) await this.#schedule(view, startedMs)
    })
    this.#timers.set(`every ${view.name}`, timer)
  }

  /** A row view that nobody fills takes rows that are written to it. */
  async #openEmpty(view: CompiledView): Promise<void> {
    const { table } = await this.#newGeneration(view, this.options.platform.clock.nowMs(), false)
    await this.options.tables.switchTo(table.name, { keys: 0 })
  }

  #again(name: string, everyMs: number, work: () => Promise<void>): void {
    const timer = this.options.platform.clock.after(everyMs, async () => {
      await work().catch((error: unknown) => {
        // Whoever needs the store tells of it; the next look may find it well.
        this.options.platform.logger.debug({ err: error }, `the online store's ${name} failed`)
      })
      if (!this.#isClosed) this.#again(name, everyMs, work)
    })
    this.#timers.set(name, timer)
  }

  /** Notices a store that was emptied while nothing was written to it. */
  async #check(): Promise<void> {
    const { project, tables } = this.options
    for (const view of project.views.values()) {
      const live = tables.generations(view).find(({ isLive }) => isLive)
      if (!live || !(await this.#isGone(live))) continue
      tables.lost(live.table.name)
      this.lost(view)
    }
  }

  async #isGone({ table }: Generation): Promise<boolean> {
    return (await this.options.store.readMark(table)) === undefined
  }

  #noteLoss(view: CompiledView, table: string | undefined): void {
    if (table !== undefined) this.options.tables.lost(table)
    this.#warmStarts.with(view.name).inc()
    this.options.platform.logger.warn(
      { view: view.name },
      'the online store has nothing of this view: it is filled again, and requests get defaults until then',
    )
  }

  /** Drops what was switched from, after its time of grace. */
  async #sweep(): Promise<void> {
    const { project, tables, platform, graceMs = 3_600_000 } = this.options
    for (const view of project.views.values()) {
      for (const { table, row, isLive } of tables.generations(view)) {
        if (isLive || row.state !== 'whole' || row.retired_ms === null) continue
        if (row.retired_ms + graceMs <= platform.clock.nowMs()) await this.#drop(table.name)
      }
    }
  }

  async #drop(name: string): Promise<void> {
    // First it is forgotten, so that nothing is written to it any more.
    await this.options.tables.dropped(name)
    await this.options.store.drop(name)
  }

  #mark(view: CompiledView, throughKnownMs: number | null, seamMs: number | null, keys: number): TableMark {
    return {
      fingerprint: view.fingerprint,
      throughKnownMs,
      seamMs,
      keys,
      writtenMs: this.options.platform.clock.nowMs(),
    }
  }
}

function isPresent({ row }: Generation, view: CompiledView): boolean {
  return row.fingerprint === view.fingerprint && row.name.startsWith(`${view.table}.`)
}
