// What a training set is put together from: labels, a part per view, and computed features, files of equal length in one order.
import type { CompiledView } from '../compiled.js'
import type { Scalar, Value, ValueType } from '../value.js'
import type { Labels } from './labels.js'
import { literal } from './sql-text.js'
import { choiceSql, duckType } from './value-sql.js'

/** A view's part: rid, e (null where there is no row) and v0…, in the order of labels. */
export interface Part {
  readonly view: CompiledView
  readonly alias: string
  readonly file: string
}

/** What a training set is put together from. */
export interface Joined {
  readonly labels: Labels
  readonly parts: readonly Part[]
  /** rid and o0…: features of the service that on-demand views compute, in the order of the service. */
  computed: string | undefined
}

/** FROM … WHERE over labels (l), parts (p0…) and computed features (o), side by side. Rows that did not meet are dropped, so counts tell. */
export function joinedSql({ labels, parts, computed }: Joined): string {
  const others = parts.map(({ alias, file }) => ({ alias, file }))
  if (computed !== undefined) others.push({ alias: 'o', file: computed })
  const joins = others.map(({ alias, file }) => ` POSITIONAL JOIN read_parquet(${literal(file)}) AS ${alias}`)
  const met = others.map(({ alias }) => `l.rid = ${alias}.rid`)
  return `FROM ${labels.sql} AS l${joins.join('')}${met.length > 0 ? ` WHERE ${met.join(' AND ')}` : ''}`
}

/** A view's feature as the service gives it: its default where there is no row. */
export function featureSql(parts: readonly Part[], view: CompiledView, index: number, fallback: Value): string {
  const { alias } = parts.find((part) => part.view === view)!
  const value = `${alias}.v${index}`
  if (fallback === null) return value
  const { type } = view.features[index]!
  return choiceSql(type, `${alias}.e IS NULL`, valueLiteral(type, fallback), value)
}

function valueLiteral(type: ValueType, value: Value): string {
  const scalar = (one: Scalar): string => (typeof one === 'string' ? literal(one) : literal(String(one)))
  if (value === null) return 'NULL'
  if (typeof value !== 'object') return `CAST(${scalar(value)} AS ${duckType(type)})`
  const element = duckType((type.startsWith('float32[') ? 'float32' : type.slice(0, -2)) as ValueType)
  const items = Array.from(value as readonly Scalar[], (one) => `CAST(${scalar(one)} AS ${element})`)
  return `CAST([${items.join(', ')}] AS ${duckType(type)})`
}
