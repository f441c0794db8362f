// Finds runs among very many. Where few meet one part of the filter, it starts from those and sorts them; else it walks an index in the
// order wanted until a page is full. What it meets on the way is looked up run by run if enough of the first ones are found, and else
// gathered before: then no walk is long. A page goes on behind the last one and leaves out what was made since the first: it repeats and
// misses nothing, whatever is logged meanwhile.
import { type RawBuilder, sql } from 'kysely'
import type { Sql } from '../../store/index.js'
import { TrackingErrors } from '../errors.js'
import { type Order, parseFilter, parseOrder } from '../filter/parse.js'
import type { TrackingTables } from '../tables.js'
import type { RunSearch } from '../types.js'
import { allOf, type Condition } from './conditions.js'
import { criteriaOf, gathered, inExperiments, type Start } from './criteria.js'
import { RUN_LANGUAGE } from './run-language.js'
import { type Anchor, anchorFor, anchorText, type RunPlace, readRunPlace, writeRunPlace } from './run-place.js'
import { type Walk, type Wanted, walkOfAll, walkOfFew, walkOfFound, walksOf } from './walks.js'

export type RunRow = TrackingTables['tracking_runs']

export const MAX_RUNS = 50_000
const MAX_ORDERS = 10
const MAX_EXPERIMENTS = 1000

/** How a search goes about; what it finds does not depend on it. */
export interface SearchLimits {
  /** So many rows are looked at one by one. */
  readonly fewRows: number
  /** Of a walk's first runs so many are tried. */
  readonly triedRuns: number
}

/** To look a run up takes some 4 µs of CPU, to gather from an index of 100,000 runs 5 to 50 ms (2026-11-23). */
export const SEARCH_LIMITS: SearchLimits = { fewRows: 5_000, triedRuns: 2_000 }

export interface FoundRuns {
  readonly rows: readonly RunRow[]
  readonly nextPageToken: string | undefined
}

export async function searchRuns(
  store: Sql,
  query: RunSearch,
  limits: SearchLimits = SEARCH_LIMITS,
): Promise<FoundRuns> {
  const { maxResults, pageToken, view } = query
  if (!Number.isInteger(maxResults) || maxResults < 1 || maxResults > MAX_RUNS)
    throw TrackingErrors.VALUE_INVALID({
      what: 'max_results',
      problem: `must be at least 1 and at most ${MAX_RUNS}, but ${maxResults} arrived`,
    })
  const comparisons = parseFilter(query.filter ?? '', RUN_LANGUAGE)
  const orders = ordersOf(query.orderBy ?? [])
  const place = pageToken ? readRunPlace(pageToken) : undefined
  const experiments = experimentsOf(query.experimentIds)
  if (experiments.length === 0) return { rows: [], nextPageToken: undefined }
  const asOf = place?.asOf ?? (await newestRun(store))
  const criteria = criteriaOf(store.dialect, experiments, comparisons, view)
  const wanted: Wanted = { experiments, criteria, orders, view, asOf }
  const { isWalk, walks } = await planOf(store, wanted, place, maxResults, limits)

  let { walk = 0, offset = 0, anchor = null } = place ?? {}
  const rows: RunRow[] = []
  let nextPageToken: string | undefined
  // One more than is asked for says whether there is a next page, and where.
  while (walk < walks.length && nextPageToken === undefined) {
    const { first } = walks[walk]!
    const from = anchor === null || first === undefined ? undefined : anchorFor(first, anchor)
    const left = maxResults - rows.length
    const steps = { offset, from, limit: left + 1, triedRuns: limits.triedRuns }
    const found = await runWalk(store, wanted, walks[walk]!, steps)
    const taken = Math.min(found.length, left)
    for (let i = 0; i < taken; i++) rows.push(found[i]!)
    if (found.length > taken) {
      const next = taken === 0 || first === undefined ? { offset: offset + taken, anchor } : behind(found, taken, steps)
      nextPageToken = writeRunPlace({ isWalk, walk, asOf, ...next })
    }
    walk++
    offset = 0
    anchor = null
  }
  return { rows, nextPageToken }
}

function ordersOf(texts: readonly string[]): Order[] {
  if (texts.length > MAX_ORDERS)
    throw TrackingErrors.TOO_MANY({ what: 'orders', count: texts.length, limit: MAX_ORDERS })
  return texts.map((text) => parseOrder(text, RUN_LANGUAGE))
}

/** Ids that are none match nothing. */
function experimentsOf(ids: readonly string[]): number[] {
  if (ids.length > MAX_EXPERIMENTS)
    throw TrackingErrors.TOO_MANY({ what: 'experiments', count: ids.length, limit: MAX_EXPERIMENTS })
  return [...new Set(ids.filter((id) => /^\d{1,15}$/.test(id)).map(Number))]
}

async function newestRun(store: Sql): Promise<number> {
  const row = await store
    .db<TrackingTables>()
    .selectFrom('tracking_runs')
    .select(({ fn }) => fn.max('number').as('number'))
    .executeTakeFirst()
  return Number(row?.number ?? 0)
}

interface Plan {
  /** Else few, in one piece. */
  readonly isWalk: boolean
  readonly walks: readonly Walk[]
}

/** What were few on the first page may be many by now and the other way round: a place is one in the first page's order. */
async function planOf(
  store: Sql,
  wanted: Wanted,
  place: RunPlace | undefined,
  maxResults: number,
  { fewRows, triedRuns }: SearchLimits,
): Promise<Plan> {
  const walks = walksOf(store.dialect, wanted)
  if (place?.isWalk) return { isWalk: true, walks }
  const few = await fewest(store, wanted, fewRows)
  if (few !== undefined) return { isWalk: false, walks: [walkOfFew(wanted, few)] }
  const steps = { offset: 0, from: undefined, limit: maxResults + 1, triedRuns }
  if (place === undefined && (await isWorthTrying(store, wanted, walks[0]!, steps))) return { isWalk: true, walks }
  const numbers = await gatherFew(store, wanted, fewRows)
  if (numbers !== undefined) return { isWalk: false, walks: [walkOfFound(wanted, numbers)] }
  return place === undefined ? { isWalk: true, walks } : { isWalk: false, walks: [walkOfAll(wanted)] }
}

/** What leads to the fewest runs, if they are few. */
async function fewest(store: Sql, { experiments, criteria }: Wanted, fewRows: number): Promise<Start | undefined> {
  const all = { counted: sql`tracking_runs q where ${inExperiments('q', experiments)}`, source: undefined, where: [] }
  let best: Start | undefined
  let bestRows = fewRows
  for (const start of [all, ...criteria.map((criterion) => criterion.start)]) {
    if (start === undefined) continue
    const rows = await count(store, sql`select 1 as one from ${start.counted} limit ${bestRows}`)
    if (rows >= bestRows) continue
    bestRows = rows
    best = start
  }
  return best
}

/** The numbers of all that are found, if they are few. */
async function gatherFew(store: Sql, wanted: Wanted, fewRows: number): Promise<number[] | undefined> {
  const where = [inExperiments('r', wanted.experiments), ...wanted.criteria.map((one) => gathered(one, 'r.number'))]
  const { rows } = await sql<{
    number: number
  }>`select r.number from tracking_runs r where ${allOf([...where, ...runConditions(wanted)])} limit ${fewRows}`.execute(
    store.db<TrackingTables>(),
  )
  return rows.length === fewRows ? undefined : rows.map(({ number }) => number)
}

type FoundRow = RunRow & { readonly anchor: Anchor | null }

interface Steps {
  readonly limit: number
  readonly offset: number
  readonly from: Anchor | undefined
  readonly triedRuns: number
}

async function runWalk(store: Sql, wanted: Wanted, walk: Walk, steps: Steps): Promise<FoundRow[]> {
  const { source, joins, order, first, criteria } = walk
  const where = whereFrom(walk, steps)
  const areLookedUp = await isWorthTrying(store, wanted, walk, steps)
  const met = criteria.map((one) =>
    areLookedUp ? one.lookedUp : gathered(one, source === undefined ? 'r.number' : 's.run'),
  )
  const anchor = first === undefined ? sql`null` : sql.raw(first.column)
  const from = source === undefined ? sql`tracking_runs r` : sql`${source} cross join tracking_runs r`
  const joined = source === undefined ? [] : [sql<boolean>`r.number = s.run`]
  const conditions = allOf([...where, ...joined, ...met, ...runConditions(wanted)])
  const { rows } = await sql<FoundRow>`select r.*, ${anchor} as anchor from ${from} ${joins}
    where ${conditions} order by ${sql.join(order)} limit ${steps.limit} offset ${steps.offset}`.execute(
    store.db<TrackingTables>(),
  )
  return rows
}

function whereFrom({ where, first }: Walk, { from }: Steps): readonly Condition[] {
  if (first === undefined || from === undefined) return where
  return [...where, sql`${sql.raw(first.column)} ${sql.raw(first.isAscending ? '>=' : '<=')} ${from}`]
}

/**
 * Whether a page is found among the first runs of the walk, or there are no more: then each is looked at. What is met elsewhere is no
 * matter, because only the time depends on this.
 */
async function isWorthTrying(store: Sql, wanted: Wanted, walk: Walk, steps: Steps): Promise<boolean> {
  const { source, criteria, first, isShort } = walk
  if (isShort || criteria.length === 0) return true
  if (!first?.isIndexed) return false
  const start = sql`where ${allOf(whereFrom(walk, steps))}
    order by ${sql.raw(first.column)} ${sql.raw(first.isAscending ? 'asc' : 'desc')} limit ${steps.triedRuns}`
  const tried =
    source === undefined ? sql`select r.* from tracking_runs r ${start}` : sql`select s.run from ${source} ${start}`
  const runs = source === undefined ? sql`(${tried}) r` : sql`(${tried}) s cross join tracking_runs r`
  const joined = source === undefined ? [] : [sql<boolean>`r.number = s.run`]
  const conditions = allOf([...joined, ...criteria.map(({ lookedUp }) => lookedUp), ...runConditions(wanted)])
  const page = steps.limit + steps.offset
  if ((await count(store, sql`select 1 as one from ${runs} where ${conditions} limit ${page}`)) === page) return true
  return (await count(store, tried)) < steps.triedRuns
}

function runConditions({ view, asOf }: Wanted): Condition[] {
  const conditions: Condition[] = [sql`r.number <= ${asOf}`]
  if (view === 'ACTIVE_ONLY') conditions.push(sql`r.is_deleted = 0`)
  return conditions
}

async function count(store: Sql, rows: RawBuilder<unknown>): Promise<number> {
  const counted = await sql<{ rows: number }>`select count(*) as rows from (${rows}) as counted`.execute(
    store.db<TrackingTables>(),
  )
  return Number(counted.rows[0]!.rows)
}

/** Behind the last of the page: of its value, and those of that value that were shown. */
function behind(found: readonly FoundRow[], taken: number, { offset, from }: Steps) {
  const anchor = found[taken - 1]!.anchor!
  let same = 1
  while (same < taken && found[taken - 1 - same]!.anchor === anchor) same++
  const isGoingOn = same === taken && anchor === from
  return { anchor: anchorText(anchor), offset: same + (isGoingOn ? offset : 0) }
}
