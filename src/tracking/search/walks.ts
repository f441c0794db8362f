// In which order runs are walked and by which index. All of one walk come before all of the next.
import { type RawBuilder, sql } from 'kysely'
import type { Order } from '../filter/parse.js'
import type { RunSearch } from '../types.js'
import { type Condition, type Dialect, hasWholeHead } from './conditions.js'
import { amongExperiments, type Criterion, inExperiments, missing, type Start } from './criteria.js'
import { isPairEntity, PAIR_TABLES } from './run-language.js'

export interface Walk {
  /** `s`, whose rows are walked, or nothing: the runs themselves. */
  readonly source: RawBuilder<unknown> | undefined
  /** On what is walked. */
  readonly where: readonly Condition[]
  readonly criteria: readonly Criterion[]
  readonly joins: RawBuilder<unknown>
  readonly order: readonly RawBuilder<unknown>[]
  /** What an index has in this order, most of all: undefined where all have to be sorted. */
  readonly first: First | undefined
  /** So little that each run is looked at. */
  readonly isShort?: boolean
}

export interface First {
  readonly column: string
  readonly type: 'number' | 'integer' | 'text'
  readonly isAscending: boolean
  /** Whether an index has it. */
  readonly isIndexed: boolean
}

export interface Wanted {
  readonly experiments: readonly number[]
  readonly criteria: readonly Criterion[]
  readonly orders: readonly Order[]
  readonly view: RunSearch['view']
  /** The newest run that there was when the search began. */
  readonly asOf: number
}

/** From what an index leads to: sorted whole, because it is little. */
export function walkOfFew({ experiments, criteria, orders }: Wanted, few: Start): Walk {
  const { joins, terms } = ordering(orders)
  const where = [...few.where, inExperiments('r', experiments)]
  return { source: few.source, where, criteria, joins, order: terms, first: undefined, isShort: true }
}

/** All, sorted whole. */
export function walkOfAll({ experiments, criteria, orders }: Wanted): Walk {
  const { joins, terms } = ordering(orders)
  const where = [inExperiments('r', experiments)]
  return { source: undefined, where, criteria, joins, order: terms, first: undefined }
}

/** Of runs that were found already. */
export function walkOfFound({ orders }: Wanted, numbers: readonly number[]): Walk {
  const { joins, terms } = ordering(orders)
  const where = [numbers.length === 0 ? sql<boolean>`1 = 0` : sql<boolean>`r.number in (${sql.join(numbers)})`]
  return { source: undefined, where, criteria: [], joins, order: terms, first: undefined }
}

export function walksOf(dialect: Dialect, { experiments, criteria, orders }: Wanted): Walk[] {
  const [first, ...others] = orders
  const runs = [experiments.length === 1 ? inExperiments('r', experiments) : amongExperiments('r', experiments)]
  if (first === undefined || !isPairEntity(first.entity) || experiments.length > 1) {
    const { joins, terms } = ordering(orders)
    return [
      { source: undefined, where: runs, criteria, joins, order: terms, first: firstOf(first, experiments.length) },
    ]
  }

  const { entity, key, isAscending } = first
  const table = sql.raw(PAIR_TABLES[entity])
  const direction = sql.raw(isAscending ? 'asc' : 'desc')
  const { joins, terms } = ordering(others)
  const source = sql`${table} s`
  const where = [inExperiments('s', experiments), sql<boolean>`s.key = ${key}`]
  const rest: Walk = {
    ...{ source: undefined, where: runs, joins, order: terms, first: firstOf(others[0], 1) },
    criteria: [...criteria, missing(dialect, experiments, first)],
  }
  if (entity !== 'metric')
    return [
      {
        ...{ source, where, criteria, joins },
        // Only what is longer than its head is read outside of the index.
        order: [
          sql`s.head ${direction}, case when ${hasWholeHead('s')} then null else ${wholeValue(table)} end ${direction}`,
          ...terms,
        ],
        first: { column: 's.head', type: 'text', isAscending, isIndexed: true },
      },
      rest,
    ]
  // A range of what is walked is a shorter walk.
  const same = criteria.find((one) => one.entity === entity && one.key === key && one.range !== undefined)
  const walk = { source, joins, criteria: criteria.filter((one) => one !== same) }
  const values: Walk = {
    ...walk,
    where: [...where, sql`s.is_nan = 0`, ...(same?.range === undefined ? [] : [same.range])],
    order: [sql`s.value ${direction}`, ...terms],
    first: { column: 's.value', type: 'number', isAscending, isIndexed: true },
  }
  // No range has NaN in it, nor runs without the metric.
  if (same !== undefined) return [values]
  const nans: Walk = { ...walk, where: [...where, sql`s.is_nan = 1`], order: terms, first: undefined }
  return [values, nans, rest]
}

function wholeValue(table: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select p.value from ${table} p where p.run = s.run and p.key = s.key)`
}

const INDEXED: readonly string[] = ['name', 'status', 'start_ms']

/** Of runs that are walked themselves. */
function firstOf(order: Order | undefined, experiments: number): First | undefined {
  if (order === undefined) return { column: 'r.start_ms', type: 'integer', isAscending: false, isIndexed: true }
  const { entity, key, isAscending } = order
  // It may be null.
  if (entity !== 'attribute' || key === 'end_ms') return undefined
  const type = key === 'start_ms' ? 'integer' : 'text'
  const isIndexed = experiments === 1 ? INDEXED.includes(key) : key === 'start_ms'
  return { column: `r.${key}`, type, isAscending, isIndexed }
}

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
