// Reads the bodies of JSON routes: within a small limit, as strict UTF-8, whatever or no content type of JSON is given.
import type { IncomingMessage } from 'node:http'
import { toHeadraceError } from '../../core/index.js'
import { readBody } from '../body.js'
import { isBinaryType, isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import type { Intake } from '../intake.js'
import { parseJsonInTurns } from '../json-in-turns.js'
import type { Api } from './route.js'

/** Nothing here needs more. */
const JSON_LIMIT_BYTES = 1024 * 1024

export function readJsonBodies(api: Api, { bodyLimitBytes, intake }: ServerContext): void {
  const limitBytes = Math.min(bodyLimitBytes, JSON_LIMIT_BYTES)
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', (_request, payload, done) => {
    parseJson(payload, limitBytes, intake).then(
      (body) => done(null, body),
      (error) => done(toHeadraceError(error)),
    )
  })
}

async function parseJson(request: IncomingMessage, limitBytes: number, intake: Intake): Promise<unknown> {
  const { 'content-type': contentType, 'content-encoding': encoding = 'identity' } = request.headers
  const isJson = contentType === undefined || isJsonType(contentType)
  // Triton's asyncio client calls its JSON bytes.
  if (!isJson && !(request.url!.startsWith('/v2/') && isBinaryType(contentType)))
    throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
  if (encoding !== 'identity')
    throw HttpErrors.CONTENT_ENCODING({ encoding: encoding.slice(0, 100), acceptEncoding: 'identity' })
  const body = await readBody(request, limitBytes, intake)
  // The handlers keep values, not bytes.
  intake.give(body.length)
  if (body.length === 0) return undefined
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (error) {
    throw HttpErrors.JSON_INVALID({ problem: 'its bytes are not UTF-8' }, error)
  }
  try {
    return await parseJsonInTurns(text)
  } catch (error) {
    throw HttpErrors.JSON_INVALID({ problem: (error as Error).message }, error)
  }
}
