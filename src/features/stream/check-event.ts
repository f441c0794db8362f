// From what arrives to an event: values checked against the source's columns, its moments and id found. What does not fit is refused.
import { HeadraceError } from '../../core/index.js'
import { checkArrived, checkValue } from '../check-value.js'
import type { StreamSource } from '../definitions/source.js'
import { durationMs } from '../duration.js'
import { FeatureErrors } from '../errors.js'
import type { Value, ValueType } from '../value.js'
import type { ArrivedEvent, LoggedEvent, StreamEvent } from './types.js'

export interface EventCheck {
  readonly latenessMs: number
  /** Throws FEATURE_VALUE_TYPE, FEATURE_EVENT_FUTURE. */
  check(arrived: ArrivedEvent): StreamEvent
  /** An event as the log has it, with values of their types again. */
  restore(event: LoggedEvent): LoggedEvent
  /** Known so long after it happened that it does not count. */
  isLate(event: StreamEvent): boolean
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

export function createEventCheck(source: StreamSource): EventCheck {
  const { name } = source
  const columns = Object.entries(source.columns)
  const whats = columns.map(([column]) => `Column "${column}" of "${name}"`)
  const timeColumn = source.eventTime ?? 'event_timestamp'
  const timeWhat = `Column "${timeColumn}" of "${name}"`
  const idColumn = source.eventId
  const idType: ValueType | undefined = idColumn === undefined ? undefined : source.columns[idColumn]
  const latenessMs = durationMs(source.lateness ?? HOUR_MS, `source ${name} › lateness`)
  const maxAheadMs = durationMs(source.maxAhead ?? MINUTE_MS, `source ${name} › maxAhead`)

  return {
    latenessMs,
    isLate: ({ eventMs, knownMs }) => knownMs - eventMs > latenessMs,
    check({ row: arrived, knownMs }) {
      const row: Record<string, Value> = {}
      for (let i = 0; i < columns.length; i++) {
        const [column, type] = columns[i]!
        row[column] = checkArrived(type, own(arrived, column), whats[i])
      }
      const eventMs = checkArrived('timestamp', own(arrived, timeColumn), timeWhat) as number | null
      if (eventMs !== null && eventMs - knownMs > maxAheadMs)
        throw FeatureErrors.EVENT_FUTURE({ source: name, aheadMs: eventMs - knownMs, maxAheadMs })
      const id =
        idColumn === undefined ? null : checkId(row[idColumn] ?? own(arrived, idColumn), idType, name, idColumn)
      return { eventMs: eventMs ?? knownMs, knownMs, id: id ?? undefined, row }
    },
    restore(event) {
      const row: Record<string, Value> = {}
      for (const [column, type] of columns) row[column] = restoreValue(type, event.row[column] ?? null)
      return { ...event, row }
    },
  }
}

/** Of the row itself: a name such as "constructor" is no column that every object has. */
function own(row: Readonly<Record<string, unknown>>, column: string): unknown {
  return Object.hasOwn(row, column) ? row[column] : undefined
}

/** As text. An undeclared id column may hold text or whole numbers. */
function checkId(value: unknown, type: ValueType | undefined, source: string, column: string): string | null {
  if (value === null || value === undefined) return null
  if (type === undefined && typeof value !== 'string') {
    return String(checkValue('int64', value, `Column "${column}" of "${source}"`))
  }
  return String(checkArrived('string', String(value), `Column "${column}" of "${source}"`))
}

function restoreValue(type: ValueType, value: Value): Value {
  if ((type === 'float64' || type === 'float32') && typeof value === 'string') return Number(value)
  if (Array.isArray(value) && value.some((one) => typeof one === 'string') && type !== 'string[]')
    return checkValue(type, type === 'int64[]' ? value : value.map(Number))
  return checkValue(type, value)
}

/** The code and the sentence of what was wrong with an event. */
export function problemOf(error: unknown): { readonly code: string; readonly problem: string } {
  if (error instanceof HeadraceError && error.code.startsWith('FEATURE_'))
    return { code: error.code, problem: error.message }
  throw error
}
