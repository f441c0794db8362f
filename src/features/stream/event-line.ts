// An event as a line of the event log; event-log.ts states the form.
import type { Value } from '../value.js'
import type { LoggedEvent } from './types.js'

export function encodeEvent(event: LoggedEvent, offset: number): string {
  const row = isJson(event.row) ? JSON.stringify(event.row) : encodeRow(event.row)
  const id = event.id === undefined ? 'null' : JSON.stringify(event.id)
  return `{"partition":${JSON.stringify(event.partition)},"offset":${offset},"event_ms":${event.eventMs},"known_ms":${event.knownMs},"id":${id},"row":${row}}\n`
}

/** Most rows are: no list, no number that JSON does not have. */
function isJson(row: Readonly<Record<string, Value>>): boolean {
  for (const column in row) {
    const value = row[column]
    if (typeof value === 'number' ? !Number.isFinite(value) : typeof value === 'bigint') return false
    if (typeof value === 'object' && value !== null) return false
  }
  return true
}

function encodeRow(row: Readonly<Record<string, Value>>): string {
  const entries = Object.entries(row).map(([column, value]) => `${JSON.stringify(column)}:${encodeValue(value)}`)
  return `{${entries.join(',')}}`
}

function encodeValue(value: Value): string {
  if (value === null) return 'null'
  if (typeof value === 'bigint') return `"${value}"`
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : `"${value}"`
  if (typeof value === 'object') return `[${Array.from(value as readonly Value[], encodeValue).join(',')}]`
  return JSON.stringify(value)
}

interface Line {
  readonly partition: string
  readonly offset: number
  readonly event_ms: number
  readonly known_ms: number
  readonly id: string | null
  readonly row: Readonly<Record<string, Value>>
}

/** Values are as they stand there: `checkValue` makes them those of their type again. Throws what JSON.parse throws. */
export function decodeEvent(line: string): LoggedEvent {
  const { partition, offset, event_ms, known_ms, id, row } = JSON.parse(line) as Line
  return { partition, offset, eventMs: event_ms, knownMs: known_ms, id: id ?? undefined, row }
}
