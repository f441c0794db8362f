// Sources: their times, columns and durations.
import type { Entity } from '../definitions/entity.js'
import type { Columns, Source, StreamSource } from '../definitions/source.js'
import { checkRules } from '../quality/row-rules.js'
import type { ValueType } from '../value.js'
import { type Problems, show } from './problems.js'

export function checkEntity(entity: Entity, problems: Problems): void {
  const path = `entity ${entity.name}`
  const keys = Object.entries(entity.keys ?? {})
  if (keys.length === 0) problems.add(`${path} › keys`, 'It has no key.', "Name one: keys: { user_id: 'string' }.")
  for (const [name, type] of keys) {
    problems.name(`${path} › keys`, name)
    if (type !== 'string' && type !== 'int64') {
      problems.add(`${path} › keys.${name}`, `${show(type)} is no type of a key.`, 'Keys are string or int64.')
    }
  }
}

export function checkSource(source: Source, problems: Problems): void {
  const path = `source ${source.name}`
  if (source.columns !== undefined) checkColumns(`${path} › columns`, source.columns, problems)
  for (const expectation of source.expectations ?? []) {
    problems.attempt(`${path} › expectations`, () => checkRules({ name: source.name, expectations: [expectation] }))
  }
  if (isStream(source)) {
    if (source.columns === undefined || Object.keys(source.columns).length === 0) {
      problems.add(`${path} › columns`, 'A stream has to declare the columns of its events.', 'Give each a type.')
    }
    problems.duration(`${path} › lateness`, source.lateness)
    problems.duration(`${path} › maxAhead`, source.maxAhead)
    timeColumn(path, 'eventTime', source.eventTime, source.columns, problems)
    const idType = source.eventId === undefined ? undefined : source.columns?.[source.eventId]
    if (idType !== undefined && idType !== 'string' && idType !== 'int64') {
      problems.add(`${path} › eventId`, `Column "${source.eventId}" is ${idType}.`, 'Ids are string or int64.')
    }
    if (source.kind === 'kafka' && !source.topic)
      problems.add(`${path} › topic`, 'It has no topic.', 'Name the topic to read.')
    return
  }
  if (!source.eventTime) {
    problems.add(`${path} › eventTime`, 'It has no event time.', 'Name the column of the moment that a row is about.')
  }
  timeColumn(path, 'eventTime', source.eventTime, source.columns, problems)
  timeColumn(path, 'knownTime', source.knownTime, source.columns, problems)
  if (source.timeZone !== undefined && !isTimeZone(source.timeZone)) {
    problems.add(
      `${path} › timeZone`,
      `${show(source.timeZone)} is no time zone.`,
      'Write one such as "Europe/Berlin".',
    )
  }
  if (source.kind === 'file' && !source.path)
    problems.add(`${path} › path`, 'It has no path.', 'Give a file or a glob.')
  if (source.kind === 'sql' && !source.query) problems.add(`${path} › query`, 'It has no query.', 'Give one SELECT.')
  if (source.kind === 'postgres' && (source.table === undefined) === (source.query === undefined)) {
    problems.add(path, 'It has neither or both of a table and a query.', 'Give one of the two.')
  }
}

export function isStream(source: Source): source is StreamSource {
  return source.kind === 'push' || source.kind === 'kafka'
}

/** The declared type of a column, were it inherited from nowhere. */
export function columnType(columns: Columns | undefined, name: string): ValueType | undefined {
  return columns !== undefined && Object.hasOwn(columns, name) ? columns[name] : undefined
}

function checkColumns(path: string, columns: Columns, problems: Problems): void {
  for (const [name, type] of Object.entries(columns)) problems.type(`${path}.${name}`, type)
  problems.clashes(
    path,
    Object.keys(columns),
    (name) => `Another column is called "${name}" but for capital letters.`,
    'Rename one.',
  )
}

function timeColumn(
  path: string,
  option: string,
  column: string | undefined,
  columns: Columns | undefined,
  problems: Problems,
): void {
  const type = column === undefined ? undefined : columnType(columns, column)
  if (type !== undefined && type !== 'timestamp' && type !== 'int64' && type !== 'string') {
    problems.add(`${path} › ${option}`, `Column "${column}" is ${type}.`, 'Declare it as a timestamp.')
  }
}

function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}
