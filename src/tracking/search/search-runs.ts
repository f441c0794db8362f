// Finds runs among very many. Three plans: few runs meet one of the comparisons, and start from those; or they are wanted in the order of a
// metric, param or tag, and that index is walked; or they are walked in the order of their start. A page goes on behind the last one
// and leaves out what was made since the first: it repeats and misses nothing, whatever is logged meanwhile.
import { type RawBuilder, sql } from 'kysely'
import type { Sql } from '../../store/index.js'
import { TrackingErrors } from '../errors.js'
import { type Comparison, type Order, parseFilter, parseOrder } from '../filter/parse.js'
import { readPageToken, writePageToken } from '../page-token.js'
import type { TrackingTables } from '../tables.js'
import type { RunSearch } from '../types.js'
import { allOf, type Condition, compare } from './conditions.js'
import { isPairEntity, PAIR_TABLES, pairCondition, RUN_LANGUAGE, runCondition } from './run-language.js'

export type RunRow = TrackingTables['tracking_runs']

export const MAX_RUNS = 50_000
const MAX_ORDERS = 10
const MAX_EXPERIMENTS = 1000
/**
 * So many rows are looked at one by one; of more matching ones, a walk in the order wanted soon has a page. At 100,000 runs both
 * cost the same here.
 */
const FEW_ROWS = 10_000

export interface FoundRuns {
  readonly rows: readonly RunRow[]
  readonly nextPageToken: string | undefined
}

/** A part of the answer: all of one part come before all of the next. */
interface Phase {
  readonly from: RawBuilder<unknown>
  readonly where: Condition
  readonly order: readonly RawBuilder<unknown>[]
}

export async function searchRuns(store: Sql, query: RunSearch): Promise<FoundRuns> {
  const { maxResults, pageToken } = query
  if (!Number.isInteger(maxResults) || maxResults < 1 || maxResults > MAX_RUNS)
    throw TrackingErrors.VALUE_INVALID({
      what: 'max_results',
      problem: `must be at least 1 and at most ${MAX_RUNS}, but ${maxResults} arrived`,
    })
  const comparisons = parseFilter(query.filter ?? '', RUN_LANGUAGE)
  const orders = ordersOf(query.orderBy ?? [])
  const place = pageToken ? readPageToken('runs', pageToken, 3) : undefined
  const experiments = experimentsOf(query.experimentIds)
  if (experiments.length === 0) return { rows: [], nextPageToken: undefined }
  const asOf = place?.[2] ?? (await newestRun(store))
  const phases = await phasesOf(store, { experiments, comparisons, orders, view: query.view, asOf })

  let [phase = 0, offset = 0] = place ?? []
  const rows: RunRow[] = []
  let next: string | undefined
  // One more than is asked for says whether there is a next page, and where.
  while (phase < phases.length && next === undefined) {
    const wanted = maxResults + 1 - rows.length
    const found = await runPhase(store, phases[phase]!, wanted, offset)
    const taken = Math.min(found.length, maxResults - rows.length)
    for (let i = 0; i < taken; i++) rows.push(found[i]!)
    if (found.length > taken) next = writePageToken('runs', [phase, offset + taken, asOf])
    phase++
    offset = 0
  }
  return { rows, nextPageToken: next }
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

async function runPhase(store: Sql, { from, where, order }: Phase, limit: number, offset: number): Promise<RunRow[]> {
  const query = sql<RunRow>`select r.* from ${from} where ${where} order by ${sql.join(order)} limit ${limit} offset ${offset}`
  return (await query.execute(store.db<TrackingTables>())).rows
}

interface Question {
  readonly experiments: readonly number[]
  readonly comparisons: readonly Comparison[]
  readonly orders: readonly Order[]
  readonly view: RunSearch['view']
  readonly asOf: number
}

async function phasesOf(store: Sql, question: Question): Promise<Phase[]> {
  const { experiments, comparisons, orders, view, asOf } = question
  const { dialect } = store
  const conditions = comparisons.map((comparison) => runCondition(dialect, comparison))
  conditions.push(sql`r.number <= ${asOf}`)
  if (view !== 'ALL') conditions.push(sql`r.is_deleted = ${view === 'DELETED_ONLY' ? 1 : 0}`)

  const few = await fewest(store, question)
  if (few !== undefined) {
    const { joins, terms } = ordering(orders)
    const from = few.table === undefined ? sql`tracking_runs r` : sql`${few.table} s cross join tracking_runs r`
    const start = few.table === undefined ? [] : [sql<boolean>`r.number = s.run`, few.condition]
    return [
      {
        from: sql`${from} ${joins}`,
        where: allOf([...start, inExperiments('r', experiments), ...conditions]),
        order: terms,
      },
    ]
  }

  const [first, ...others] = orders
  const { joins, terms } = ordering(others)
  if (first !== undefined && isPairEntity(first.entity) && experiments.length === 1) {
    const { entity, key } = first
    const table = sql.raw(PAIR_TABLES[entity])
    const direction = sql.raw(first.isAscending ? 'asc' : 'desc')
    const walk = sql`${table} s cross join tracking_runs r ${joins}`
    const walked = [
      inExperiments('s', experiments),
      sql<boolean>`s.key = ${key}`,
      sql<boolean>`r.number = s.run`,
      ...conditions,
    ]
    const missing = sql<boolean>`not exists (select 1 from ${table} p where p.run = r.number and p.key = ${key})`
    const rest = {
      from: sql`tracking_runs r ${joins}`,
      where: allOf([inExperiments('r', experiments), missing, ...conditions]),
      order: terms,
    }
    if (entity !== 'metric')
      return [
        { from: walk, where: allOf(walked), order: [sql`s.head ${direction}, s.value ${direction}`, ...terms] },
        rest,
      ]
    return [
      { from: walk, where: allOf([sql`s.is_nan = 0`, ...walked]), order: [sql`s.value ${direction}`, ...terms] },
      { from: walk, where: allOf([sql`s.is_nan = 1`, ...walked]), order: terms },
      rest,
    ]
  }

  const all = ordering(orders)
  return [
    {
      from: sql`tracking_runs r ${all.joins}`,
      where: allOf([
        experiments.length === 1 ? inExperiments('r', experiments) : amongMany(experiments),
        ...conditions,
      ]),
      order: all.terms,
    },
  ]
}

function inExperiments(alias: string, experiments: readonly number[]): Condition {
  const column = sql.raw(`${alias}.experiment`)
  return experiments.length === 1 ? sql`${column} = ${experiments[0]}` : sql`${column} in (${sql.join(experiments)})`
}

/** Not by the index of experiments, which would have to sort all their runs. */
function amongMany(experiments: readonly number[]): Condition {
  return sql`r.experiment + 0 in (${sql.join(experiments)})`
}

interface Start {
  /** undefined: the runs themselves, where the database finds its index. */
  readonly table: RawBuilder<unknown> | undefined
  readonly condition: Condition
}

/** The comparison that the fewest rows meet, if they are few. */
async function fewest(store: Sql, { experiments, comparisons }: Question): Promise<Start | undefined> {
  let best: Start | undefined
  let bestRows = FEW_ROWS
  const consider = async (table: string, condition: Condition) => {
    const count = sql<{
      rows: number
    }>`select count(*) as rows from (select 1 as one from ${sql.raw(table)} s where ${condition} limit ${bestRows}) as matching`
    const rows = Number((await count.execute(store.db<TrackingTables>())).rows[0]!.rows)
    if (rows >= bestRows) return
    bestRows = rows
    best = { table: table === 'tracking_runs' ? undefined : sql.raw(table), condition }
  }
  const here = inExperiments('s', experiments)
  if (experiments.length > 1) await consider('tracking_runs', here)
  for (const comparison of comparisons) {
    const { entity, operator, key } = comparison
    if (entity === 'attribute' && ['=', 'IN', '>', '>=', '<', '<='].includes(operator) && INDEXED.includes(key))
      await consider('tracking_runs', sql`${here} and ${compare(store.dialect, `s.${key}`, comparison)}`)
    if (!isPairEntity(entity)) continue
    // A range has two ends: only together are they few.
    const same = comparisons.filter((one) => one.entity === entity && one.key === key && hasIndex(one))
    if (same[0] !== comparison) continue
    const pair = allOf(same.map((one) => pairCondition(store.dialect, 's', one)))
    await consider(PAIR_TABLES[entity], sql`${here} and ${pair}`)
  }
  return best
}

function hasIndex({ entity, operator }: Comparison): boolean {
  return entity === 'metric' ? operator !== '!=' : operator === '='
}

const INDEXED: readonly string[] = ['run_id', 'name', 'status', 'start_ms']

/** Orders as terms, with the joins they need; missing values come last, NaN before them. Ends with the order that every search has. */
function ordering(orders: readonly Order[]): { joins: RawBuilder<unknown>; terms: RawBuilder<unknown>[] } {
  const joins: RawBuilder<unknown>[] = []
  const terms: RawBuilder<unknown>[] = []
  for (const [index, { entity, key, isAscending }] of orders.entries()) {
    const direction = sql.raw(isAscending ? 'asc' : 'desc')
    if (isPairEntity(entity)) {
      const alias = sql.raw(`o${index}`)
      joins.push(
        sql`left join ${sql.raw(PAIR_TABLES[entity])} ${alias} on ${alias}.run = r.number and ${alias}.key = ${key}`,
      )
      const rank =
        entity === 'metric' ? sql`coalesce(${alias}.is_nan, 2)` : sql`case when ${alias}.run is null then 1 else 0 end`
      terms.push(rank, sql`${alias}.value ${direction}`)
    } else {
      const column = sql.raw(`r.${key}`)
      if (key === 'end_ms') terms.push(sql`case when ${column} is null then 1 else 0 end`)
      terms.push(sql`${column} ${direction}`)
    }
  }
  if (!orders.some(({ key }) => key === 'start_ms')) terms.push(sql`r.start_ms desc`)
  terms.push(sql`r.run_id`)
  return { joins: sql.join(joins, sql` `), terms }
}
