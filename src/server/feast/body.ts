// Bodies in Feast's shape: objects of columns. Whole numbers keep all their digits, as entity ids need.
import type { IncomingMessage } from 'node:http'
import { toHeadraceError } from '../../core/index.js'
import { JsonReader, type JsonValue } from '../../tensor/index.js'
import type { Api } from '../api/route.js'
import { readBody } from '../body.js'
import { isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { FeastErrors } from './errors.js'

/** Reading two megabytes takes some 20 ms of the event loop; a data frame of ten thousand rows and ten columns is that large. */
const LIMIT_BYTES = 2 * 1024 * 1024

export function readFeastBodies(api: Api, { bodyLimitBytes, intake }: ServerContext): void {
  const limitBytes = Math.min(bodyLimitBytes, LIMIT_BYTES)
  const read = async (request: IncomingMessage): Promise<JsonValue> => {
    const { 'content-type': contentType, 'content-encoding': encoding = 'identity' } = request.headers
    if (contentType !== undefined && !isJsonType(contentType))
      throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
    if (encoding !== 'identity')
      throw HttpErrors.CONTENT_ENCODING({ encoding: encoding.slice(0, 100), acceptEncoding: 'identity' })
    const body = await readBody(request, limitBytes, intake)
    // The handlers keep values, not bytes.
    intake.give(body.length)
    // Python writes NaN for what is missing in a data frame.
    const reader = new JsonReader(body, 'non-finite')
    const value = reader.readValue()
    reader.finish()
    return value
  }
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', (_request, payload, done) => {
    read(payload).then(
      (body) => done(null, body),
      (error) => done(toHeadraceError(error)),
    )
  })
}

export type Members = Readonly<Record<string, JsonValue>>

/** Columns of one length, in the order they came. */
export interface Columns {
  readonly rows: number
  readonly byName: ReadonlyMap<string, readonly JsonValue[]>
}

export function membersOf(body: unknown): Members {
  if (!isMembers(body)) throw FeastErrors.BODY_INVALID({ member: 'body', expected: 'a JSON object' })
  return body
}

export function textOf(members: Members, member: string): string {
  const value = members[member]
  if (typeof value !== 'string' || value === '') throw FeastErrors.BODY_INVALID({ member, expected: 'text' })
  return value
}

/** undefined when it is absent or null. */
export function optionalText(members: Members, member: string): string | undefined {
  return members[member] === undefined || members[member] === null ? undefined : textOf(members, member)
}

export function flagOf(members: Members, member: string): boolean {
  const value = members[member] ?? false
  if (typeof value !== 'boolean') throw FeastErrors.BODY_INVALID({ member, expected: 'true or false' })
  return value
}

export function textsOf(members: Members, member: string): readonly string[] | undefined {
  const value = members[member]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value) || !value.every((one): one is string => typeof one === 'string'))
    throw FeastErrors.BODY_INVALID({ member, expected: 'a list of text' })
  return value
}

/** At least one row. */
export function columnsOf(members: Members, member: string): Columns {
  const value = members[member]
  if (!isMembers(value)) throw FeastErrors.BODY_INVALID({ member, expected: 'an object of columns, each a list' })
  const byName = new Map<string, readonly JsonValue[]>()
  let rows: number | undefined
  for (const [column, values] of Object.entries(value)) {
    if (!Array.isArray(values))
      throw FeastErrors.BODY_INVALID({ member: `${member}.${column}`, expected: 'a list with a value for each row' })
    rows ??= values.length
    if (values.length !== rows) throw FeastErrors.ROWS_UNEQUAL({ member, column, rows: values.length, expected: rows })
    byName.set(column, values)
  }
  if (!rows) throw FeastErrors.ROWS_NONE({ member })
  return { rows, byName }
}

/** One object per row. */
export function rowsOf({ rows, byName }: Columns): Record<string, JsonValue>[] {
  const all = Array.from({ length: rows }, (): Record<string, JsonValue> => ({}))
  for (const [name, values] of byName) for (let row = 0; row < rows; row++) all[row]![name] = values[row]!
  return all
}

/** Milliseconds; a time without a zone is UTC, as Feast's client sends it. */
export function timeOf(members: Members, member: string): number {
  const text = textOf(members, member)
  const hasZone = /(?:[zZ]|[+-]\d\d:?\d\d)$/.test(text)
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text)
  const ms = Date.parse(hasZone || isDay ? text : `${text}Z`)
  if (Number.isNaN(ms)) throw FeastErrors.TIME_INVALID({ member, arrived: text })
  return ms
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
