// Features at request time: whatever the versions of an endpoint need, in one reading of the store. It answers at once where the
// store does, and it always answers: what the store does not say is filled in and marked as such. Only the caller's own mistakes throw.
import { didYouMean, type HeadraceError, type Platform } from '../../core/index.js'
import { checkArrived } from '../check-value.js'
import type { CompiledView, FeatureProject } from '../compiled.js'
import { encodeKey } from '../entity-key.js'
import { FeatureErrors } from '../errors.js'
import { nextTurn } from '../online/turns.js'
import type { OnlineAnswer, OnlineEntry, OnlineRead, OnlineStore, OnlineTable } from '../online/types.js'
import type { Value } from '../value.js'
import { GuardedStore, type NoAnswer } from './guarded-store.js'
import { LastKnown } from './last-known.js'
import { createReaderMetrics, type ReaderMetrics } from './metrics.js'
import { areSame, CompiledPlan } from './plan.js'
import { joinParts, partsOf, ROWS_AT_ONCE } from './rows-in-turns.js'
import { Transforms } from './transforms.js'
import type { FeatureReader, FeatureRequest, ReadPlan, ServedFeatures, ValueGap, ValueSource } from './types.js'

export interface FeatureReaderOptions {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly store: Pick<OnlineStore, 'read'>
  /** Which generation of a view requests read; undefined: nothing of it was ever materialised. */
  readonly tables: { live(view: CompiledView): OnlineTable | undefined }
  /** Entries kept for the time when the store does not answer; default 20,000. */
  readonly lastKnownEntries?: number
}

/** How old a reading may be that answers in place of the store. */
const LAST_KNOWN_MS = 3_600_000

/** Reads features for requests. One per process. */
export function createFeatureReader(options: FeatureReaderOptions): FeatureReader {
  return new Reader(options)
}

class Reader implements FeatureReader {
  readonly #options: FeatureReaderOptions
  readonly #plans = new Map<string, CompiledPlan>()
  readonly #keyNames: ReadonlySet<string>
  readonly #metrics: ReaderMetrics
  readonly #store: GuardedStore
  readonly #lastKnown: LastKnown
  readonly #transforms: Transforms

  constructor(options: FeatureReaderOptions) {
    this.#options = options
    const { platform, project, store } = options
    this.#keyNames = new Set([...project.entities.values()].flatMap(({ keys }) => Object.keys(keys)))
    this.#metrics = createReaderMetrics(platform.metrics)
    this.#lastKnown = new LastKnown(options.lastKnownEntries ?? 20_000)
    this.#transforms = new Transforms(platform)
    this.#store = new GuardedStore({
      platform,
      store,
      metrics: this.#metrics,
      onLate: (reads, answer, atMs) => this.#remember(reads, answer, atMs),
    })
  }

  plan(services: readonly string[]): CompiledPlan {
    const names = [...new Set(services)].sort()
    const id = names.join(' ')
    let plan = this.#plans.get(id)
    if (plan === undefined) {
      const known = this.#options.project.services
      plan = new CompiledPlan(
        names.map((name) => {
          const service = known.get(name)
          if (service === undefined) throw FeatureErrors.SERVICE_UNKNOWN({ service: name, known: [...known.keys()] })
          return service
        }),
      )
      this.#plans.set(id, plan)
    }
    return plan
  }

  hasKey(name: string): boolean {
    return this.#keyNames.has(name)
  }

  checkKeyName(name: string): void {
    if (this.#keyNames.has(name)) return
    const known = [...this.#keyNames].sort()
    throw FeatureErrors.KEY_UNKNOWN({ key: name, suggestion: didYouMean(name, known), known })
  }

  read(plan: ReadPlan, request: FeatureRequest): ServedFeatures | Promise<ServedFeatures> {
    const startedMs = this.#options.platform.clock.monotonicMs()
    this.#metrics.reads.inc()
    this.#metrics.rows.inc(request.rows)
    const reading =
      request.rows > ROWS_AT_ONCE
        ? this.#readInTurns(plan as CompiledPlan, request)
        : this.#read(plan as CompiledPlan, request)
    if (!(reading instanceof Promise)) return this.#took(reading, startedMs)
    return reading.then((served) => this.#took(served, startedMs))
  }

  #took(served: ServedFeatures, startedMs: number): ServedFeatures {
    this.#metrics.seconds.observe((this.#options.platform.clock.monotonicMs() - startedMs) / 1000)
    return served
  }

  #read(plan: CompiledPlan, request: FeatureRequest): ServedFeatures | Promise<ServedFeatures> {
    const reading = new Reading(plan, request, this.#options.tables)
    const answer =
      reading.reads.length === 0 ? NOTHING : this.#store.read(reading.reads, request.atMs, request.budgetMs)
    if (!(answer instanceof Promise)) return this.#finish(reading, answer)
    return answer.then((answered) => {
      if (typeof answered !== 'string') this.#remember(reading.reads, answered, request.atMs)
      return this.#finish(reading, answered)
    })
  }

  async #readInTurns(plan: CompiledPlan, request: FeatureRequest): Promise<ServedFeatures> {
    const { clock } = this.#options.platform
    const parts: ServedFeatures[] = []
    let { budgetMs } = request
    for (const part of partsOf(request)) {
      const reading = this.#read(plan, { ...part, budgetMs })
      if (reading instanceof Promise) {
        const waitedMs = clock.monotonicMs()
        parts.push(await reading)
        budgetMs -= clock.monotonicMs() - waitedMs
      } else {
        parts.push(reading)
        await nextTurn()
      }
    }
    return joinParts(parts, request)
  }

  #finish(reading: Reading, answer: OnlineAnswer | NoAnswer): ServedFeatures {
    return reading.finish(answer, this.#lastKnown, this.#transforms, this.#metrics)
  }

  /** Of a store that answers at once nothing is kept: it is this process's own memory. */
  #remember(reads: readonly OnlineRead[], answer: OnlineAnswer, atMs: number): void {
    for (let i = 0; i < reads.length; i++) {
      const { table, keys } = reads[i]!
      const entries = answer[i]!
      for (let k = 0; k < keys.length; k++) {
        const entry = entries[k]
        if (entry !== undefined) this.#lastKnown.put(table.name, keys[k]!, entry, atMs)
      }
    }
  }
}

const NOTHING: OnlineAnswer = []

/** The rows of one set of keys: each distinct key once, and which of them a row has. -1: the row has none. */
interface KeyRows {
  readonly keys: readonly string[]
  readonly ofRow: Int32Array
}

/** One request's reading, from what it brings to what it is served. */
class Reading {
  readonly reads: OnlineRead[] = []
  readonly #plan: CompiledPlan
  readonly #request: FeatureRequest
  /** By column: values that the request brings; undefined where it brings none at all. */
  readonly #overrides: (readonly (Value | undefined)[] | undefined)[]
  /** Whether the request brings a column for every row. */
  readonly #isWhole: boolean[]
  readonly #given = new Map<string, readonly (Value | undefined)[]>()
  readonly #lacking = new Map<string, HeadraceError>()
  readonly #keyRows: (KeyRows | undefined)[]
  /** By view: its position in `reads`, -1 when it is not read. */
  readonly #readOf: Int32Array

  constructor(plan: CompiledPlan, request: FeatureRequest, tables: FeatureReaderOptions['tables']) {
    this.#plan = plan
    this.#request = request
    const { features, views, onDemand } = plan
    this.#overrides = new Array(features.length)
    this.#isWhole = new Array(features.length).fill(false)
    if (request.given.size > 0) this.#takeOverrides()
    for (let i = 0; i < plan.request.length; i++) this.#takeInput(plan.request[i]!.name, plan.request[i]!.type)
    this.#keyRows = new Array(plan.keySets.length)
    this.#readOf = new Int32Array(views.length).fill(-1)
    const isWanted = new Array<boolean>(views.length)
    for (let i = 0; i < views.length; i++) isWanted[i] = this.#wants(views[i]!.columns)
    for (let i = 0; i < onDemand.length; i++) {
      const { view, views: needed, columns, services } = onDemand[i]!
      if (!this.#wants(columns)) continue
      for (let j = 0; j < needed.length; j++) isWanted[needed[j]!] = true
      for (let j = 0; j < view.request.length; j++) {
        const { name, type } = view.request[j]!
        if (!this.#given.has(name)) {
          const lack = FeatureErrors.REQUEST_MISSING({ input: name, view: view.name, type })
          for (const service of services) if (!this.#lacking.has(service)) this.#lacking.set(service, lack)
        }
      }
    }
    for (let i = 0; i < views.length; i++) {
      if (!isWanted[i] || this.#lacksKey(i)) continue
      const { view, keySet } = views[i]!
      const rows = this.#rowsOf(keySet)
      const table = tables.live(view)
      if (table === undefined || rows.keys.length === 0 || !haveSameKeys(table.view, view)) continue
      this.#readOf[i] = this.reads.push({ table, keys: rows.keys }) - 1
    }
    const { services } = plan
    if (request.mayLack !== true && services.length > 0 && this.#lacking.size === services.length)
      throw this.#lacking.get(services[0]!.name)
  }

  finish(
    answer: OnlineAnswer | NoAnswer,
    lastKnown: LastKnown,
    transforms: Transforms,
    metrics: ReaderMetrics,
  ): ServedFeatures {
    const { features, views, onDemand } = this.#plan
    const { rows, atMs } = this.#request
    const values = new Array<Value[]>(features.length)
    const sources = new Array<readonly ValueSource[]>(features.length)
    const gaps = new Array<readonly ValueGap[]>(features.length)
    const agesMs = new Array<readonly (number | undefined)[]>(features.length)
    let hasDefaults = false
    let hasLastKnown = false
    const ofViews = new Array<ViewRows>(views.length)
    for (let v = 0; v < views.length; v++) {
      const found = this.#viewRows(v, answer, lastKnown)
      ofViews[v] = found
      const { columns, fallbacks, view } = views[v]!
      if (found.gapRows > 0) this.#countGaps(view.name, found, metrics)
      for (let c = 0; c < columns.length; c++) {
        const column = columns[c]!
        const { index } = features[column]!
        const stored = found.stored?.[index] ?? index
        const own = new Array<Value>(rows)
        if (stored === NOT_STORED) {
          values[column] = own.fill(fallbacks[index]!)
          sources[column] = new Array<ValueSource>(rows).fill('default')
          gaps[column] = found.gaps.map((gap) => (gap === 'none' ? 'missing' : gap))
          agesMs[column] = new Array<undefined>(rows).fill(undefined)
          if (this.#overrides[column] !== undefined) this.#override(column, values, sources, gaps, agesMs)
          hasDefaults ||= this.#isWhole[column] !== true
          continue
        }
        for (let row = 0; row < rows; row++) {
          const entry = found.entries[row]
          own[row] = entry === undefined ? fallbacks[index]! : entry.values[stored]!
        }
        values[column] = own
        sources[column] = found.sources
        gaps[column] = found.gaps
        agesMs[column] = found.agesMs
        if (this.#overrides[column] !== undefined) this.#override(column, values, sources, gaps, agesMs)
      }
      // What the request overrides for every row is not looked at.
      if (found.gapRows > 0 && this.#wantsView(v)) {
        hasLastKnown ||= found.hasLastKnown
        hasDefaults ||= found.hasDefaults
      }
    }
    for (let d = 0; d < onDemand.length; d++) {
      const planned = onDemand[d]!
      if (planned.columns.length === 0) continue
      const computed = transforms.run(planned, {
        rows,
        atMs,
        request: this.#given,
        valueOf: (view, index, row) => this.#valueOf(view, index, row, ofViews, values),
        views,
      })
      if (computed.failedRows > 0) {
        metrics.gap(planned.view.name, 'failed', computed.failedRows)
        hasDefaults = true
      }
      for (let c = 0; c < planned.columns.length; c++) {
        const column = planned.columns[c]!
        values[column] = computed.values[features[column]!.index]!
        sources[column] = computed.sources
        gaps[column] = computed.gaps
        agesMs[column] = computed.agesMs
        if (this.#overrides[column] !== undefined) this.#override(column, values, sources, gaps, agesMs)
      }
    }
    return {
      plan: this.#plan,
      rows,
      atMs,
      values,
      sources,
      gaps,
      agesMs,
      hasDefaults,
      hasLastKnown,
      isDegraded: hasDefaults || hasLastKnown,
      lacking: this.#lacking,
      keys: this.#request.keys,
      request: this.#given,
    }
  }

  #takeOverrides(): void {
    const { features } = this.#plan
    for (let c = 0; c < features.length; c++) {
      const { name, type } = features[c]!
      const given = this.#request.given.get(name)
      if (given === undefined) continue
      const checked = checkColumn(given, type, name, this.#request.firstRow)
      this.#overrides[c] = checked
      this.#isWhole[c] = !checked.includes(undefined)
    }
  }

  #takeInput(name: string, type: CompiledPlan['request'][number]['type']): void {
    const given = this.#request.given.get(name)
    if (given !== undefined) this.#given.set(name, checkColumn(given, type, name, this.#request.firstRow))
  }

  /** Whether the request leaves something of these columns to be looked up or computed. */
  #wants(columns: readonly number[]): boolean {
    for (let i = 0; i < columns.length; i++) if (!this.#isWhole[columns[i]!]) return true
    return false
  }

  #wantsView(of: number): boolean {
    const { views, onDemand } = this.#plan
    if (this.#wants(views[of]!.columns)) return true
    return onDemand.some(({ views: needed, columns }) => needed.includes(of) && this.#wants(columns))
  }

  #lacksKey(of: number): boolean {
    const { view, services } = this.#plan.views[of]!
    for (let i = 0; i < view.keys.length; i++) {
      const { name } = view.keys[i]!
      if (this.#request.keys.has(name)) continue
      const lack = FeatureErrors.KEY_MISSING({ key: name, needed: view.keys.map((key) => key.name) })
      for (const service of services) if (!this.#lacking.has(service)) this.#lacking.set(service, lack)
      return true
    }
    return false
  }

  #rowsOf(keySet: number): KeyRows {
    let found = this.#keyRows[keySet]
    if (found === undefined) {
      found = this.#encodeRows(keySet)
      this.#keyRows[keySet] = found
    }
    return found
  }

  #encodeRows(keySet: number): KeyRows {
    const { rows, keys: given } = this.#request
    const set = this.#plan.keySets[keySet]!
    const columns = set.map(({ name }) => given.get(name)!)
    const ofRow = new Int32Array(rows).fill(-1)
    const keys: string[] = []
    const known = rows === 1 ? undefined : new Map<string, number>()
    let row = 0
    const ofKey = (name: string) => given.get(name)![row]
    for (; row < rows; row++) {
      let hasAll = true
      for (let i = 0; i < columns.length; i++) if (columns[i]![row] === undefined) hasAll = false
      if (!hasAll) continue
      const key = encodeKey(set, ofKey)
      let at = known?.get(key)
      if (at === undefined) {
        at = keys.push(key) - 1
        known?.set(key, at)
      }
      ofRow[row] = at
    }
    return { keys, ofRow }
  }

  #viewRows(of: number, answer: OnlineAnswer | NoAnswer, lastKnown: LastKnown): ViewRows {
    const { rows, atMs } = this.#request
    const { view, keySet } = this.#plan.views[of]!
    const ttlMs = view.kind === 'rows' ? view.ttlMs : undefined
    const keyRows = this.#keyRows[keySet]
    const at = this.#readOf[of]!
    const entries = at === -1 || typeof answer === 'string' ? undefined : answer[at]!
    const found = new ViewRows(rows, at === -1 ? undefined : placesIn(this.reads[at]!.table.view, view))
    for (let row = 0; row < rows; row++) {
      const key = keyRows === undefined ? -1 : keyRows.ofRow[row]!
      if (key === -1) {
        found.fill(row, 'no-key')
        continue
      }
      if (at === -1) {
        found.fill(row, 'missing')
        continue
      }
      if (entries === undefined) {
        const gap = answer as NoAnswer
        const { table, keys } = this.reads[at]!
        const known = lastKnown.get(table.name, keys[key]!)
        const limitMs = this.#request.lastKnownMs ?? LAST_KNOWN_MS
        if (known !== undefined && atMs - known.readMs <= limitMs && isFresh(known.entry, ttlMs, atMs))
          found.putLastKnown(row, known.entry, gap, atMs)
        else found.fill(row, gap)
        continue
      }
      const entry = entries[key]
      if (entry === undefined) found.fill(row, 'missing')
      else if (isFresh(entry, ttlMs, atMs)) found.put(row, entry, atMs)
      else found.fill(row, 'expired', atMs - entry.eventMs)
    }
    return found
  }

  #countGaps(view: string, { gaps }: ViewRows, metrics: ReaderMetrics): void {
    const counts = new Map<ValueGap, number>()
    for (const gap of gaps) if (gap !== 'none') counts.set(gap, (counts.get(gap) ?? 0) + 1)
    for (const [gap, count] of counts) metrics.gap(view, gap, count)
  }

  /** For on-demand views: a value that the request overrides is overridden for them too. */
  #valueOf(
    view: number,
    index: number,
    row: number,
    ofViews: readonly ViewRows[],
    values: readonly (readonly Value[])[],
  ): Value {
    const { features, views } = this.#plan
    const { columns, fallbacks } = views[view]!
    if (this.#request.given.size > 0)
      for (let i = 0; i < columns.length; i++) {
        const column = columns[i]!
        if (features[column]!.index === index && this.#overrides[column]?.[row] !== undefined)
          return values[column]![row]!
      }
    const { entries, stored } = ofViews[view]!
    const entry = entries[row]
    const place = stored?.[index] ?? index
    return entry === undefined || place === NOT_STORED ? fallbacks[index]! : entry.values[place]!
  }

  #override(
    column: number,
    values: Value[][],
    sources: (readonly ValueSource[])[],
    gaps: (readonly ValueGap[])[],
    agesMs: (readonly (number | undefined)[])[],
  ): void {
    const given = this.#overrides[column]!
    const ownSources = [...sources[column]!]
    const ownGaps = [...gaps[column]!]
    const ownAges = [...agesMs[column]!]
    for (let row = 0; row < given.length; row++) {
      const value = given[row]
      if (value === undefined) continue
      values[column]![row] = value
      ownSources[row] = 'request'
      ownGaps[row] = 'none'
      ownAges[row] = undefined
    }
    sources[column] = ownSources
    gaps[column] = ownGaps
    agesMs[column] = ownAges
  }
}

/** What was found of a view, row by row. Everything of a row is of one source, so the lists are shared by the view's columns. */
class ViewRows {
  readonly entries: (OnlineEntry | undefined)[]
  readonly sources: ValueSource[]
  readonly gaps: ValueGap[]
  readonly agesMs: (number | undefined)[]
  gapRows = 0
  hasDefaults = false
  hasLastKnown = false

  constructor(
    rows: number,
    /** By feature: its place in the entries' values; undefined: they are those of the view as it is defined now. */
    readonly stored: readonly number[] | undefined,
  ) {
    this.entries = new Array(rows)
    this.sources = new Array(rows)
    this.gaps = new Array(rows)
    this.agesMs = new Array(rows)
  }

  put(row: number, entry: OnlineEntry, atMs: number): void {
    this.entries[row] = entry
    this.sources[row] = 'online'
    this.gaps[row] = 'none'
    this.agesMs[row] = atMs - entry.eventMs
  }

  putLastKnown(row: number, entry: OnlineEntry, gap: ValueGap, atMs: number): void {
    this.put(row, entry, atMs)
    this.sources[row] = 'last-known'
    this.gaps[row] = gap
    this.hasLastKnown = true
    this.gapRows++
  }

  /** `ageMs`: of the row that was too old. */
  fill(row: number, gap: ValueGap, ageMs?: number): void {
    this.entries[row] = undefined
    this.sources[row] = 'default'
    this.gaps[row] = gap
    this.agesMs[row] = ageMs
    this.hasDefaults = true
    this.gapRows++
  }
}

const NOT_STORED = -1
const places = new WeakMap<CompiledView, readonly number[]>()

/** Where the features of a view are in rows of an earlier definition of it. One of another type than now is as good as none. */
function placesIn(made: CompiledView, now: CompiledView): readonly number[] | undefined {
  if (made === now) return undefined
  let found = places.get(made)
  if (found === undefined) {
    found = now.features.map(({ name, type }) =>
      made.features.findIndex((feature) => feature.name === name && feature.type === type),
    )
    places.set(made, found)
  }
  return found
}

/** Rows of other keys are about something else, even where their text is the same. */
function haveSameKeys(made: CompiledView, now: CompiledView): boolean {
  return made === now || areSame(made.keys, now.keys)
}

/** The age exactly of the time to live included. */
function isFresh({ eventMs }: OnlineEntry, ttlMs: number | undefined, atMs: number): boolean {
  return ttlMs === undefined || atMs - eventMs <= ttlMs
}

function checkColumn(
  given: readonly unknown[],
  type: CompiledPlan['request'][number]['type'],
  name: string,
  firstRow = 0,
): (Value | undefined)[] {
  const checked = new Array<Value | undefined>(given.length)
  for (let row = 0; row < given.length; row++) {
    const value = given[row]
    checked[row] = value === undefined ? undefined : checkArrived(type, value, `"${name}" of row ${firstRow + row}`)
  }
  return checked
}
