// JSON bodies as MLflow's clients send them. Whole numbers keep their 64 bits, NaN and Infinity may stand bare, and text that no database
// keeps is refused here, once for all fields.
import type { IncomingMessage } from 'node:http'
import { toHeadraceError } from '../../core/index.js'
import { JsonReader } from '../../tensor/index.js'
import type { Api } from '../api/route.js'
import { readBody } from '../body.js'
import { isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { isMembers } from './fields.js'

/** MLflow takes batches of one megabyte; reading two takes some 15 ms of the event loop. */
const LIMIT_BYTES = 2 * 1024 * 1024

export function readMlflowBodies(api: Api, { bodyLimitBytes, intake }: ServerContext): void {
  const limitBytes = Math.min(bodyLimitBytes, LIMIT_BYTES)
  const read = async (request: IncomingMessage): Promise<unknown> => {
    const { 'content-type': contentType, 'content-encoding': encoding = 'identity' } = request.headers
    if (contentType !== undefined && !isJsonType(contentType))
      throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
    if (encoding !== 'identity')
      throw HttpErrors.CONTENT_ENCODING({ encoding: encoding.slice(0, 100), acceptEncoding: 'identity' })
    const body = await readBody(request, limitBytes, intake)
    // The handlers keep values, not bytes.
    intake.give(body.length)
    return parse(body)
  }
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', (_request, payload, done) => {
    read(payload).then(
      (body) => done(null, body),
      (error) => done(toHeadraceError(error)),
    )
  })
}

/** A whole number that JSON.parse might round, or one of the words it does not know. */
const NEEDS_READER = /[:[,]\s*-?(?:\d{16,}\s*[,}\]]|NaN|Infinity)/
const SUSPECT_TEXT = /\\u(?:0000|[dD][89a-fA-F])|\0/

function parse(body: Uint8Array<ArrayBuffer>): Readonly<Record<string, unknown>> {
  if (body.length === 0) return {}
  const value = toValue(body)
  if (!isMembers(value)) throw HttpErrors.JSON_INVALID({ problem: 'it is no object' })
  return value
}

function toValue(body: Uint8Array<ArrayBuffer>): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (error) {
    throw HttpErrors.JSON_INVALID({ problem: 'its bytes are not UTF-8' }, error)
  }
  let value: unknown
  if (NEEDS_READER.test(text)) {
    const reader = new JsonReader(body, 'non-finite')
    value = reader.readValue()
    reader.finish()
  } else {
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw HttpErrors.JSON_INVALID({ problem: (error as Error).message }, error)
    }
  }
  if (SUSPECT_TEXT.test(text)) checkTexts(value, 0)
  return value
}

const MAX_DEPTH = 64

/** Python writes an emoji as two escapes, which is fine; a lone half, or NUL, is not. */
export function checkTexts(value: unknown, depth: number): void {
  if (typeof value === 'string') {
    if (/[\0\p{Surrogate}]/u.test(value))
      throw HttpErrors.JSON_INVALID({ problem: 'text in it has a NUL character or half of a surrogate pair' })
  } else if (typeof value === 'object' && value !== null) {
    if (depth > MAX_DEPTH) throw HttpErrors.JSON_INVALID({ problem: `it is nested deeper than ${MAX_DEPTH}` })
    for (const [key, one] of Object.entries(value)) {
      checkTexts(key, depth)
      checkTexts(one, depth + 1)
    }
  }
}
