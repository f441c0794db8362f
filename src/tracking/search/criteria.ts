// What a filter asks of runs, each part in two ways that find the same: looked up for one run after the other, which is best where most of
// them meet it, or gathered for all runs in one go, which costs the same whatever is met.
import { type RawBuilder, sql } from 'kysely'
import type { Comparison } from '../filter/parse.js'
import type { RunSearch } from '../types.js'
import { allOf, type Condition, compare, type Dialect, hasWholeHead } from './conditions.js'
import { isPairEntity, PAIR_TABLES, pairCondition, readsIndexAlone, runCondition } from './run-language.js'

export interface Criterion {
  readonly entity: Comparison['entity']
  readonly key: string
  /** On `r`, by a look-up for each run. */
  readonly lookedUp: Condition
  /** Of all runs that meet it, or of all that do not (`isNegated`), the numbers: a query. */
  readonly numbers: RawBuilder<unknown>
  readonly isNegated: boolean
  /** Where an index leads to what meets it and to nothing else. */
  readonly start: Start | undefined
  /** On `s`, a row of the metric: a stretch of the index by value. */
  readonly range?: Condition
}

export interface Start {
  /** Where they are counted: what follows `from`. */
  readonly counted: RawBuilder<unknown>
  /** `s`, with the numbers of runs as `run`, each once; undefined: the runs of the experiments. */
  readonly source: RawBuilder<unknown> | undefined
  readonly where: readonly Condition[]
}

export function criteriaOf(
  dialect: Dialect,
  experiments: readonly number[],
  comparisons: readonly Comparison[],
  view: RunSearch['view'],
): Criterion[] {
  const criteria = grouped(comparisons).map((group) => criterionOf(dialect, experiments, group))
  if (view === 'DELETED_ONLY') criteria.push(deletedOnly(experiments))
  // What an index narrows down is gathered soonest, and where nothing meets it the rest is not gathered at all.
  return criteria.sort((a, b) => Number(a.start === undefined) - Number(b.start === undefined))
}

/** Gathered, and asked of a column that has numbers of runs. The sign keeps SQLite from starting there. */
export function gathered({ numbers, isNegated }: Criterion, column: 's.run' | 'r.number'): Condition {
  return sql`+${sql.raw(column)} ${sql.raw(isNegated ? 'not in' : 'in')} (${numbers})`
}

/** Runs without this metric, param or tag. */
export function missing(
  dialect: Dialect,
  experiments: readonly number[],
  { entity, key }: Pick<Comparison, 'entity' | 'key'>,
): Criterion {
  return criterionOf(dialect, experiments, [{ entity, key, operator: 'IS NULL', value: null }])
}

export function inExperiments(alias: string, experiments: readonly number[]): Condition {
  const column = sql.raw(`${alias}.experiment`)
  return experiments.length === 1 ? sql`${column} = ${experiments[0]}` : sql`${column} in (${sql.join(experiments)})`
}

/** Not by an index of experiments. */
export function amongExperiments(alias: string, experiments: readonly number[]): Condition {
  return sql`${sql.raw(alias)}.experiment + 0 in (${sql.join(experiments)})`
}

/** A range has two ends: what is said of one value is asked of it at once. Data sets are many, and each may be meant. */
function grouped(comparisons: readonly Comparison[]): [Comparison, ...Comparison[]][] {
  const groups = new Map<string, [Comparison, ...Comparison[]]>()
  for (const [index, comparison] of comparisons.entries()) {
    const { entity, key, operator } = comparison
    const isAlone = entity === 'dataset' || operator === 'IS NULL'
    const name = isAlone ? String(index) : `${entity}/${key}`
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [comparison])
    else group.push(comparison)
  }
  return [...groups.values()]
}

function criterionOf(
  dialect: Dialect,
  experiments: readonly number[],
  group: readonly [Comparison, ...Comparison[]],
): Criterion {
  const { entity, key, operator } = group[0]
  const common = {
    entity,
    key,
    lookedUp: allOf(group.map((one) => runCondition(dialect, one))),
    isNegated: operator === 'IS NULL',
  }
  if (entity === 'attribute') return { ...common, ...attribute(dialect, experiments, key, group) }
  if (entity === 'dataset') return { ...common, ...dataset(dialect, experiments, group[0]) }
  if (!isPairEntity(entity)) throw new Error(`runs are not searched by ${entity satisfies never}`)

  const table = sql.raw(PAIR_TABLES[entity])
  const rows = (compared: readonly Comparison[]) =>
    allOf([
      inExperiments('s', experiments),
      sql`s.key = ${key}`,
      ...compared.filter(({ value }) => value !== null).map((one) => pairCondition(dialect, 's', one)),
    ])
  if (common.isNegated)
    return { ...common, numbers: sql`select s.run from ${table} s where ${rows([])}`, start: undefined }
  const inIndex = sql`select s.run from ${table} s where`
  const numbers = group.every(readsIndexAlone)
    ? sql`${inIndex} ${rows(group)}`
    : // In the order of the runs' numbers neighbours lie beside each other: a sixth of the time that the index's order takes (2026-11-23).
      sql`${inIndex} ${rows([])} and ${hasWholeHead('s')} and ${allOf(group.map((one) => compare(dialect, 's.head', one)))}
        union all select q.number from tracking_runs q cross join ${table} s
        where exists (${inIndex} ${rows([])} and not ${hasWholeHead('s')})
          and ${amongExperiments('q', experiments)} and s.run = q.number and not ${hasWholeHead('s')}
          and ${allOf(group.map((one) => pairCondition(dialect, 's', one)))}`
  const narrow = group.filter(
    (one) => readsIndexAlone(one) && (entity === 'metric' ? RANGES : NARROW_TEXT).includes(one.operator),
  )
  if (narrow.length === 0) return { ...common, numbers, start: undefined }
  const start = { counted: sql`${table} s where ${rows(narrow)}`, source: sql`${table} s`, where: [rows(narrow)] }
  return entity === 'metric' ? { ...common, numbers, start, range: rows(group) } : { ...common, numbers, start }
}

/** Comparisons that are a stretch of an index. */
const RANGES: readonly Comparison['operator'][] = ['=', '>', '>=', '<', '<=']
const NARROW_TEXT: readonly Comparison['operator'][] = ['=', 'IN', 'IS NOT NULL']

type Found = Pick<Criterion, 'numbers' | 'start'>

/** An index of experiments has these too. */
const INDEXED: readonly string[] = ['run_id', 'name', 'status', 'start_ms']

function attribute(dialect: Dialect, experiments: readonly number[], key: string, group: readonly Comparison[]): Found {
  const isIndexed = INDEXED.includes(key)
  const where = allOf([
    (isIndexed ? inExperiments : amongExperiments)('q', experiments),
    ...group.map((one) => compare(dialect, `q.${key}`, one)),
  ])
  const isNarrow = isIndexed && group.some(({ operator }) => operator === 'IN' || RANGES.includes(operator))
  const found = sql`tracking_runs q where ${where}`
  return {
    numbers: sql`select q.number from ${found}`,
    start: isNarrow ? startAt(sql`select q.number as run`, found) : undefined,
  }
}

function dataset(dialect: Dialect, experiments: readonly number[], comparison: Comparison): Found {
  const { key } = comparison
  // It is of the use and not of the data set, so that no index has it.
  if (key === 'context')
    return {
      numbers: sql`select x.run from run_datasets x where ${compare(dialect, 'x.context', comparison)}`,
      start: undefined,
    }
  const used = sql`tracking_datasets d cross join run_datasets x
    where ${inExperiments('d', experiments)} and x.dataset = d.id and ${compare(dialect, `d.${key}`, comparison)}`
  return { numbers: sql`select x.run from ${used}`, start: startAt(sql`select distinct x.run`, used) }
}

function startAt(select: RawBuilder<unknown>, counted: RawBuilder<unknown>): Start {
  return { counted, source: sql`(${select} from ${counted}) s`, where: [] }
}

function deletedOnly(experiments: readonly number[]): Criterion {
  return {
    entity: 'attribute',
    key: 'is_deleted',
    lookedUp: sql`r.is_deleted = 1`,
    numbers: sql`select q.number from tracking_runs q where ${amongExperiments('q', experiments)} and q.is_deleted = 1`,
    isNegated: false,
    start: undefined,
  }
}
