// Sends replies: JSON with its length, errors in the one shape every client here understands.
import type { ServerResponse } from 'node:http'
import type { HeadraceError } from '../core/index.js'
import type { ReplyForm } from './predict/exchange.js'

/** Exactly this, without a charset: KServe's client reads error messages only then. */
export const JSON_TYPE = 'application/json'

export function sendJson(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array,
  id?: string,
  flags: readonly string[] = NO_FLAGS,
): void {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  const headers = ['Content-Type', JSON_TYPE, 'Content-Length', String(length)]
  if (id !== undefined) headers.push('Headrace-Prediction-Id', id)
  if (flags.length > 0) headers.push('Headrace-Flags', flags.join(', '))
  response.writeHead(status, headers)
  response.end(body)
}

const NO_FLAGS: readonly string[] = []

/** Of a reply that is JSON and then tensors. */
export const BINARY_TYPE = 'application/octet-stream'
export const JSON_LENGTH_HEADER = 'Inference-Header-Content-Length'

/** Bytes of a body of `bodyBytes` with the parts behind it. */
export function totalBytes(bodyBytes: number, form: ReplyForm | undefined): number {
  let total = bodyBytes
  if (form !== undefined) for (let i = 0; i < form.parts.length; i++) total += form.parts[i]!.length
  return total
}

/** A prediction's 200. */
export function sendAnswer(
  response: ServerResponse,
  body: string | Uint8Array,
  id: string,
  flags: readonly string[],
  form: ReplyForm | undefined,
): void {
  if (form === undefined) {
    sendJson(response, 200, body, id, flags)
    return
  }
  const { jsonBytes, encoding, parts } = form
  const length = totalBytes(typeof body === 'string' ? Buffer.byteLength(body) : body.length, form)
  const headers = ['Content-Type', jsonBytes === undefined ? JSON_TYPE : BINARY_TYPE, 'Content-Length', String(length)]
  if (jsonBytes !== undefined) headers.push(JSON_LENGTH_HEADER, String(jsonBytes))
  if (encoding !== undefined) headers.push('Content-Encoding', encoding)
  headers.push('Headrace-Prediction-Id', id)
  if (flags.length > 0) headers.push('Headrace-Flags', flags.join(', '))
  response.writeHead(200, headers)
  response.cork()
  response.write(body)
  for (let i = 0; i < parts.length; i++) response.write(parts[i]!)
  response.end()
  response.uncork()
}

/** `{"error": message, "code": code}`: `error` is the Open Inference Protocol's, `code` is the contract. */
export function errorBody(error: HeadraceError): string {
  return JSON.stringify({ error: error.message, code: error.code })
}

/** What an error says beside its body: names and values in turn. */
export function errorHeaders(error: HeadraceError, id: string | undefined, flags: readonly string[]): string[] {
  const headers: string[] = ['Content-Type', JSON_TYPE]
  const retryAfter = retryAfterSeconds(error)
  if (retryAfter !== undefined) headers.push('Retry-After', String(retryAfter))
  // Not Basic: browsers would ask people for a name and a password.
  if (error.status === 401) headers.push('WWW-Authenticate', 'Bearer realm="headrace"')
  if (error.code === 'ACCESS_RATE_LIMITED' || error.code === 'ACCESS_QUOTA_EXCEEDED') pushLimit(headers, error)
  const { allow, acceptEncoding } = error.params
  if (typeof allow === 'string') headers.push('Allow', allow)
  if (typeof acceptEncoding === 'string') headers.push('Accept-Encoding', acceptEncoding)
  if (id !== undefined) headers.push('Headrace-Prediction-Id', id)
  if (flags.length > 0) headers.push('Headrace-Flags', flags.join(', '))
  return headers
}

/** As most clients read them; seconds until there is room again. */
function pushLimit(headers: string[], { params }: HeadraceError): void {
  const seconds = Math.max(1, Math.ceil(Number(params['retryAfterMs']) / 1000))
  headers.push(
    'RateLimit-Limit',
    String(params['limit']),
    'RateLimit-Remaining',
    '0',
    'RateLimit-Reset',
    String(seconds),
  )
}

export function sendError(
  response: ServerResponse,
  error: HeadraceError,
  id?: string,
  flags: readonly string[] = NO_FLAGS,
): void {
  if (response.headersSent || response.destroyed) return
  const headers = errorHeaders(error, id, flags)
  for (let i = 0; i < headers.length; i += 2) response.setHeader(headers[i]!, headers[i + 1]!)
  const isCutOff = error.status === 413 && !response.req.complete
  if (isCutOff) response.setHeader('Connection', 'close')
  const body = errorBody(error)
  response.setHeader('Content-Length', Buffer.byteLength(body))
  response.writeHead(error.status)
  if (isCutOff) endAfterBody(response, body)
  else response.end(body)
}

/**
 * Many clients send their whole body before they read: closing at once would show them a broken pipe and never the reason. What
 * is left is read and thrown away, for as long as a request may take.
 */
function endAfterBody(response: ServerResponse, body: string): void {
  response.write(body)
  const end = () => response.end()
  response.req.once('end', end).once('close', end).resume()
}

/** Whole seconds, at least 1, for errors that name a time and for every 429 and 503. */
function retryAfterSeconds(error: HeadraceError): number | undefined {
  const ms = error.params['retryAfterMs']
  if (typeof ms === 'number') return Math.max(1, Math.ceil(ms / 1000))
  return error.status === 429 || error.status === 503 ? 1 : undefined
}
