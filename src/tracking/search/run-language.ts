// What runs are searched and ordered by, and each comparison as a condition on `r`, the run.
import { sql } from 'kysely'
import type { Comparison, Language } from '../filter/parse.js'
import { type Condition, compare, compareMetric, compareValue, type Dialect, isAboutHead } from './conditions.js'

const NAME = { name: 'name', type: 'text' } as const
const START = { name: 'start_ms', type: 'number' } as const

export const RUN_LANGUAGE: Language = {
  entities: ['attribute', 'metric', 'param', 'tag', 'dataset'],
  attributes: {
    run_id: { name: 'run_id', type: 'text' },
    run_name: NAME,
    'run name': NAME,
    'Run name': NAME,
    'Run Name': NAME,
    user_id: { name: 'user_id', type: 'text' },
    status: { name: 'status', type: 'text' },
    artifact_uri: { name: 'artifact_uri', type: 'text' },
    start_time: START,
    created: START,
    Created: START,
    end_time: { name: 'end_ms', type: 'number' },
  },
}

/** Where what is compared by key lies. */
export const PAIR_TABLES = { metric: 'latest_metrics', param: 'run_params', tag: 'run_tags' } as const
export type PairEntity = keyof typeof PAIR_TABLES

export function isPairEntity(entity: Comparison['entity']): entity is PairEntity {
  return Object.hasOwn(PAIR_TABLES, entity)
}

/** What is compared is in the index by value: a metric's value, and a text that is as long as its head. */
export function readsIndexAlone({ entity, operator, value }: Comparison): boolean {
  if (entity === 'metric' || operator === 'IS NULL' || operator === 'IS NOT NULL') return true
  return isAboutHead(operator, value)
}

/** On a row of the pair's own table. */
export function pairCondition(dialect: Dialect, alias: string, comparison: Comparison): Condition {
  const key = sql.raw(`${alias}.key`)
  const compared =
    comparison.entity === 'metric' ? compareMetric(alias, comparison) : compareValue(dialect, alias, comparison)
  return sql`${key} = ${comparison.key} and ${compared}`
}

export function runCondition(dialect: Dialect, comparison: Comparison): Condition {
  const { entity, key, operator } = comparison
  if (entity === 'attribute') return compare(dialect, `r.${key}`, comparison)
  if (entity === 'dataset') {
    const compared = compare(dialect, key === 'context' ? 'x.context' : `d.${key}`, comparison)
    return sql`exists (select 1 from run_datasets x join tracking_datasets d on d.id = x.dataset where x.run = r.number and ${compared})`
  }
  const table = sql.raw(PAIR_TABLES[entity])
  if (operator === 'IS NULL' || operator === 'IS NOT NULL') {
    const has = sql`exists (select 1 from ${table} p where p.run = r.number and p.key = ${key})`
    return operator === 'IS NULL' ? sql`not ${has}` : sql`${has}`
  }
  return sql`exists (select 1 from ${table} p where p.run = r.number and ${pairCondition(dialect, 'p', comparison)})`
}
