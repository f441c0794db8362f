// Features as served, as the JSON a payload holds. Column by column; what is the same in every row is written once, so that the one user of
// five hundred items costs what one row does.
import { numberText, quote } from './json-text.js'
import type { ServedPayload } from './types.js'

/** Upper estimate of a number with its comma; texts and lists are measured. */
const NUMBER_BYTES = 24
const COLUMN_BYTES = 120

/** An estimate on the high side of what encoding would give, without encoding. */
export function estimateServedBytes({ columns, first, rows }: ServedPayload): number {
  let bytes = 0
  for (const values of [...columns.values, ...columns.keys.values(), ...columns.request.values()]) {
    bytes += COLUMN_BYTES
    const count = isUniform(values, first, rows) ? 1 : rows
    for (let row = first; row < first + count; row++) bytes += sizeOf(values[row])
  }
  return bytes
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 2 * value.length + 3
  if (typeof value === 'object' && value !== null) {
    const list = value as ArrayLike<unknown>
    let bytes = 3
    for (let i = 0; i < list.length; i++) bytes += sizeOf(list[i])
    return bytes
  }
  return NUMBER_BYTES
}

/**
 * `{"atMs", "services", "keys", "request", "features"}`; see StoredServed. Of names in `redact` only the name is written.
 */
export function encodeServed({ columns, first, rows }: ServedPayload, redact: readonly string[]): string {
  const { plan, values, sources, gaps, agesMs } = columns
  let features = ''
  for (let i = 0; i < plan.features.length; i++) {
    const { name, type, services } = plan.features[i]!
    const ofAll = services.length === plan.services.length
    const text = redact.includes(name)
      ? ',"redacted":true'
      : `${column('value', 'values', values[i]!, first, rows)}${column('source', 'sources', sources[i]!, first, rows)}${gapsOf(gaps[i]!, first, rows)}${column('ageMs', 'agesMs', agesMs[i]!, first, rows)}`
    features += `${i === 0 ? '' : ','}{"name":${quote(name)},"type":"${type}"${ofAll ? '' : `,"services":${valueText(services)}`}${text}}`
  }
  const names = plan.services.map(({ name }) => name)
  return `{"atMs":${numberText(columns.atMs)},"services":${valueText(names)},"keys":${named(columns.keys, first, rows, redact)},"request":${named(columns.request, first, rows, redact)},"features":[${features}]}`
}

/** Nearly every value is the store's, which need not be said. */
function gapsOf(gaps: readonly string[], first: number, rows: number): string {
  for (let row = first; row < first + rows; row++)
    if (gaps[row] !== 'none') return column('gap', 'gaps', gaps, first, rows)
  return ''
}

function named(
  columns: ReadonlyMap<string, readonly unknown[]>,
  first: number,
  rows: number,
  redact: readonly string[],
): string {
  let text = ''
  for (const [name, values] of columns) {
    if (redact.includes(name)) continue
    const uniform = isUniform(values, first, rows)
    const body = uniform ? valueText(values[first]) : listText(values, first, rows)
    text += `${text === '' ? '' : ','}${quote(name)}:{"${uniform ? 'value' : 'values'}":${body}}`
  }
  return `{${text}}`
}

function column(one: string, many: string, values: readonly unknown[], first: number, rows: number): string {
  if (!isUniform(values, first, rows)) return `,"${many}":${listText(values, first, rows)}`
  // There is nothing to say of an age that no row has.
  return values[first] === undefined ? '' : `,"${one}":${valueText(values[first])}`
}

function isUniform(values: readonly unknown[], first: number, rows: number): boolean {
  for (let row = first + 1; row < first + rows; row++) if (values[row] !== values[first]) return false
  return true
}

function listText(values: readonly unknown[], first: number, rows: number): string {
  let text = ''
  for (let row = first; row < first + rows; row++) text += `${row === first ? '' : ','}${valueText(values[row])}`
  return `[${text}]`
}

/** Infinities are text, as everywhere in the log; so are whole numbers beyond 2^53. */
function valueText(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? String(value) : `"${value}"`
    case 'string':
      return quote(value)
    case 'bigint':
      return `"${value}"`
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object': {
      if (value === null) return 'null'
      const list = value as ArrayLike<unknown>
      let text = ''
      for (let i = 0; i < list.length; i++) text += `${i === 0 ? '' : ','}${valueText(list[i])}`
      return `[${text}]`
    }
    default:
      return 'null'
  }
}
