// Features as served, as the JSON a payload holds. Column by column; what is the same in every row is written once, so that the one user of
// five hundred items costs what one row does.
import { numberText, quote } from './json-text.js'
import type { ServedPayload } from './types.js'

/** Upper estimate of a number with its comma; texts and lists are measured. */
const NUMBER_BYTES = 24
const COLUMN_BYTES = 120

/** Whether encoding may give more than `limit` bytes: an estimate on the high side, which looks no further than that. */
export function mayExceed({ columns, first, rows }: ServedPayload, limit: number): boolean {
  const { values, keys, request } = columns
  let left = limit
  for (let i = 0; i < values.length && left >= 0; i++) left = leftAfter(values[i]!, first, rows, left)
  for (const column of keys.values()) left = leftAfter(column, first, rows, left)
  for (const column of request.values()) left = leftAfter(column, first, rows, left)
  return left < 0
}

function leftAfter(values: readonly unknown[], first: number, rows: number, limit: number): number {
  const count = isUniform(values, first, rows) ? 1 : rows
  let left = limit - COLUMN_BYTES
  for (let row = first; row < first + count && left >= 0; row++) left -= sizeOf(values[row])
  return left
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

/** `{"atMs", "services", "keys", "request", "groups"}`; see StoredServed. Of names in `redact` only the name is written. */
export function encodeServed({ columns, first, rows }: ServedPayload, redact: readonly string[]): string {
  const { plan, values, sources, gaps, agesMs } = columns
  const { services, names } = textsOf(plan)
  let groups = ''
  for (let from = 0; from < names.length; ) {
    const isHidden = redact.length > 0 && redact.includes(plan.features[from]!.name)
    const isUniformGroup = isUniform(values[from]!, first, rows)
    let to = from + 1
    while (
      to < names.length &&
      areAlike(columns, from, to) &&
      (redact.length === 0 || redact.includes(plan.features[to]!.name) === isHidden) &&
      isUniform(values[to]!, first, rows) === isUniformGroup
    )
      to++
    const { type, services: own } = plan.features[from]!
    let text = `{"type":"${type}"`
    if (own.length !== plan.services.length) text += `,"services":${valueText(own)}`
    text += `,"names":[${names[from]!}`
    for (let i = from + 1; i < to; i++) text += `,${names[i]!}`
    text += ']'
    if (isHidden) text += ',"redacted":true'
    else {
      text += isUniformGroup ? ',"values":[' : ',"rowValues":['
      for (let i = from; i < to; i++) {
        if (i > from) text += ','
        text += isUniformGroup ? valueText(values[i]![first]) : listText(values[i]!, first, rows)
      }
      text += `]${column('source', 'sources', sources[from]!, first, rows)}`
      text += gapsOf(gaps[from]!, first, rows) + column('ageMs', 'agesMs', agesMs[from]!, first, rows)
    }
    groups += `${from === 0 ? '' : ','}${text}}`
    from = to
  }
  return `{"atMs":${numberText(columns.atMs)},"services":${services},"keys":${named(columns.keys, first, rows, redact)},"request":${named(columns.request, first, rows, redact)},"groups":[${groups}]}`
}

/** Columns of one view share their lists: what is said of them is said once. */
function areAlike({ plan, sources, gaps, agesMs }: ServedPayload['columns'], a: number, b: number): boolean {
  const one = plan.features[a]!
  const other = plan.features[b]!
  if (sources[a] !== sources[b] || agesMs[a] !== agesMs[b] || gaps[a] !== gaps[b] || one.type !== other.type)
    return false
  const { services } = one
  if (services.length !== other.services.length) return false
  for (let i = 0; i < services.length; i++) if (services[i] !== other.services[i]) return false
  return true
}

interface PlanTexts {
  readonly services: string
  readonly names: readonly string[]
}

const planTexts = new WeakMap<ServedPayload['columns']['plan'], PlanTexts>()

function textsOf(plan: ServedPayload['columns']['plan']): PlanTexts {
  let texts = planTexts.get(plan)
  if (texts === undefined) {
    texts = {
      services: valueText(plan.services.map(({ name }) => name)),
      names: plan.features.map(({ name }) => quote(name)),
    }
    planTexts.set(plan, texts)
  }
  return texts
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
