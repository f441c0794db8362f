// The answer to /get-online-features: columns of values with their statuses and times. Written as text, because Feast's client reads types
// from it: a whole float must say 1.0, and no digit of an integer may be lost.
import type { ServedFeatures, Value, ValueGap, ValueType } from '../../features/index.js'
import type { JsonValue } from '../../tensor/index.js'
import type { Asked } from './features.js'

export interface AskedKeys {
  readonly name: string
  readonly values: readonly JsonValue[]
}

/** Keys and other columns of the request come first, as the caller sent them. */
export function answerText(
  asked: Asked,
  served: ServedFeatures,
  echoed: readonly AskedKeys[],
  withVersions: boolean,
): string {
  const names = [...echoed.map(({ name }) => name), ...asked.names]
  const columns = served.plan.columnsOf(asked.service.name)
  const written: Written = { whole: new Map(), times: new Map() }
  const results = [
    ...echoed.map(({ values }) =>
      resultText(
        values.map(jsonText),
        values.map(() => 'PRESENT'),
        values.map(() => EPOCH),
      ),
    ),
    ...asked.service.features.map(({ name, type }) => columnText(served, columns.get(name)!, type, written)),
  ]
  const metadata = `{"feature_names":${JSON.stringify(names)}${withVersions ? `,"feature_view_metadata":${versionsText(asked)}` : ''}}`
  return `{"metadata":${metadata},"results":[${results.join(',')}]}`
}

type Status = 'PRESENT' | 'NULL_VALUE' | 'NOT_FOUND' | 'OUTSIDE_MAX_AGE'

/** What is written again and again in one answer, and slow to write. */
interface Written {
  /** Statuses and times of columns without a gap, by their ages: features of one view share them. */
  readonly whole: Map<readonly (number | undefined)[], string>
  readonly times: Map<number, string>
}

function columnText(served: ServedFeatures, column: number, type: ValueType, { whole, times }: Written): string {
  const values = served.values[column]!
  const gaps = served.gaps[column]!
  const sources = served.sources[column]!
  const agesMs = served.agesMs[column]!
  const texts = new Array<string>(values.length)
  const statuses = new Array<Status>(values.length)
  let isWhole = true
  for (let row = 0; row < values.length; row++) {
    const status = statusOf(values[row]!, gaps[row]!, sources[row] === 'default')
    if (status !== 'PRESENT') isWhole = false
    texts[row] = status === 'PRESENT' ? valueText(values[row]!, type) : 'null'
    statuses[row] = status
  }
  let rest = isWhole ? whole.get(agesMs) : undefined
  if (rest === undefined) {
    rest = statusesText(
      statuses,
      statuses.map((status, row) => {
        const ageMs = agesMs[row]
        if (status === 'NOT_FOUND' || ageMs === undefined) return EPOCH
        const ms = served.atMs - ageMs
        let text = times.get(ms)
        if (text === undefined) {
          text = timeText(ms)
          times.set(ms, text)
        }
        return text
      }),
    )
    if (isWhole) whole.set(agesMs, rest)
  }
  return `{"values":[${texts.join(',')}],${rest}}`
}

/** Defaults are not Feast's: what is not there is null, with the status that says why. */
function statusOf(value: Value, gap: ValueGap, isDefault: boolean): Status {
  if (isDefault) return gap === 'expired' ? 'OUTSIDE_MAX_AGE' : gap === 'failed' ? 'NULL_VALUE' : 'NOT_FOUND'
  return value === null ? 'NULL_VALUE' : 'PRESENT'
}

function resultText(values: readonly string[], statuses: readonly string[], times: readonly string[]): string {
  return `{"values":[${values.join(',')}],${statusesText(statuses, times)}}`
}

function statusesText(statuses: readonly string[], times: readonly string[]): string {
  return `"statuses":["${statuses.join('","')}"],"event_timestamps":["${times.join('","')}"]`
}

/** A value of a type as Feast's server writes it. Timestamps are seconds there. */
export function valueText(value: Value, type: ValueType): string {
  switch (type) {
    case 'float64':
    case 'float32':
      return floatText(value as number)
    case 'int64':
    case 'int32':
      return String(value)
    case 'timestamp':
      return String(Math.floor(Number(value) / 1000))
    case 'bool':
    case 'string':
      return JSON.stringify(value)
    case 'string[]':
    case 'bool[]':
      return isEmpty(value) ? 'null' : JSON.stringify(value)
    case 'int64[]':
      if (isEmpty(value)) return 'null'
      return `[${(value as readonly (number | bigint)[]).join(',')}]`
    default:
      // A list or a vector of floats.
      if (isEmpty(value)) return 'null'
      return `[${Array.from(value as ArrayLike<number>, floatText).join(',')}]`
  }
}

/** Feast's client infers types from values, and from an empty list it cannot: it raises. */
function isEmpty(value: Value): boolean {
  return (value as ArrayLike<unknown>).length === 0
}

function floatText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value)
}

function jsonText(value: JsonValue): string {
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}

function versionsText({ service }: Asked): string {
  return JSON.stringify([...service.views, ...service.onDemand].map(({ name, version }) => ({ name, version })))
}

const EPOCH = '1970-01-01T00:00:00Z'

/** As protocol buffers write a Timestamp: without a fraction, or with three digits of one. */
function timeText(ms: number): string {
  const text = new Date(ms).toISOString()
  return text.endsWith('.000Z') ? `${text.slice(0, -5)}Z` : text
}
