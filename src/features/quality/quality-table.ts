// A view's rows as checks see them: a SELECT in DuckDB, and its columns by the names that people use.
import type { CompiledView } from '../compiled.js'
import type { Duck } from '../offline/duck.js'
import type { Relation } from '../offline/relation.js'
import { ident } from '../offline/sql-text.js'
import type { ValueType } from '../value.js'

export interface QualityColumn {
  readonly name: string
  /** Its expression over the relation. */
  readonly sql: string
  readonly type: ValueType
}

export interface QualityTable {
  /** What messages call it. */
  readonly name: string
  readonly duck: Pick<Duck, 'rows'>
  /** A SELECT with event_ms and known_ms, and what the columns' expressions name. */
  readonly sql: string
  /** Expressions of the entity's keys. */
  readonly keys: readonly string[]
  /** Keys first, then features or source columns. */
  readonly columns: readonly QualityColumn[]
  /** Other names of columns: of features, where they are taken from. */
  readonly aliases: ReadonlyMap<string, string>
  /** The source's times, by its names for them: rules may be about them, nothing is inferred of them. */
  readonly times: readonly QualityColumn[]
}

/** `relation` is what the offline store makes of the view's source. */
export function qualityTable(duck: Pick<Duck, 'rows'>, view: CompiledView, relation: Relation): QualityTable {
  const names = view.kind === 'rows' ? view.features.map(({ name }) => name) : view.columns
  const aliases = new Map<string, string>()
  if (view.kind === 'rows')
    for (const { name, column } of view.features) if (!names.includes(column)) aliases.set(column, name)
  return {
    name: view.name,
    duck,
    sql: relation.sql,
    keys: relation.keys,
    columns: [
      ...view.keys.map(({ name, type }, i) => ({ name, sql: ident(relation.keys[i]!), type })),
      // Where filters look at every column, keys are among those of a window view again.
      ...names
        .map((name, i) => ({ name, sql: ident(relation.values[i]!), type: relation.types[i]! }))
        .filter(({ name }) => !view.keys.some((key) => key.name === name)),
    ],
    aliases,
    times: [
      ...timeColumn(view.source?.eventTime ?? view.stream?.eventTime, 'event_ms'),
      ...timeColumn(view.source?.knownTime, 'known_ms'),
    ],
  }
}

const timeColumn = (name: string | undefined, sql: string): QualityColumn[] =>
  name === undefined ? [] : [{ name, sql, type: 'timestamp' }]

export function columnOf(table: QualityTable, name: string): QualityColumn | undefined {
  const own = table.aliases.get(name) ?? name
  return [...table.columns, ...table.times].find((column) => column.name === own)
}
