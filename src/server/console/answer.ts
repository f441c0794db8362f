// Answers what begins with /console: files, and for every other path the page itself, which knows what the path means. It needs no
// key: the page holds nothing, and asks the API with the key that a person gives it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { toHeadraceError } from '../../core/index.js'
import { acceptedEncoding } from '../compression.js'
import { HttpErrors } from '../errors.js'
import { sendError } from '../reply.js'
import { ConsoleErrors } from './errors.js'
import { type ConsoleFile, type ConsoleFiles, createConsoleFiles } from './files.js'

const BASE = '/console'
const YEAR_SECONDS = 31_536_000

/** Only what this server sends may run, nothing inline; the page talks to this server alone, and nobody frames it. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export async function answerConsole(
  request: IncomingMessage,
  response: ServerResponse,
  files: ConsoleFiles = builtFiles,
): Promise<void> {
  try {
    const { method = 'GET', url = BASE } = request
    const path = url.split('?', 1)[0]!
    if (method !== 'GET' && method !== 'HEAD')
      throw HttpErrors.METHOD_NOT_ALLOWED({ method, path: path.slice(0, 200), allow: 'GET, HEAD' })
    // The page's own addresses are relative to the slash.
    if (path === BASE) redirect(response)
    else send(request, response, await fileFor(path.slice(BASE.length + 1), files))
  } catch (error) {
    sendError(response, toHeadraceError(error))
  }
}

const builtFiles = createConsoleFiles()

async function fileFor(name: string, files: ConsoleFiles): Promise<ConsoleFile> {
  const file = name === '' ? undefined : await files.get(name)
  if (file !== undefined) return file
  // A page that was loaded before an update would take HTML for a script.
  if (name.startsWith('assets/')) throw ConsoleErrors.FILE_NOT_FOUND({ file: name.slice(0, 200) })
  return (await files.get('index.html'))!
}

function redirect(response: ServerResponse): void {
  response.writeHead(302, { Location: `${BASE}/`, 'Content-Length': '0' })
  response.end()
}

function send({ headers }: IncomingMessage, response: ServerResponse, file: ConsoleFile): void {
  const isGzip = acceptedEncoding(headers['accept-encoding']) === 'gzip'
  const etag = `"${file.etag}${isGzip ? '-gzip' : ''}"`
  response.setHeader('ETag', etag)
  response.setHeader('Cache-Control', file.isImmutable ? `public, max-age=${YEAR_SECONDS}, immutable` : 'no-cache')
  response.setHeader('Vary', 'Accept-Encoding')
  response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY)
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Referrer-Policy', 'no-referrer')
  if (headers['if-none-match']?.split(/\s*,\s*/).some((known) => known.replace(/^W\//, '') === etag)) {
    response.writeHead(304)
    response.end()
    return
  }
  const body = isGzip ? file.gzipped : file.body
  if (isGzip) response.setHeader('Content-Encoding', 'gzip')
  response.writeHead(200, { 'Content-Type': file.type, 'Content-Length': String(body.length) })
  response.end(body)
}
