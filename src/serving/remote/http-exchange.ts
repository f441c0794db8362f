// One HTTP request and its whole answer, bounded in time and size. It knows nothing of what is in them.
import {
  type Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingHttpHeaders,
  type RequestOptions,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Clock } from '../../core/index.js'

export interface HttpReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Why there is no reply; `hadAnswer`: its head had come. */
export interface HttpTrouble {
  readonly kind: 'broken' | 'timeout' | 'too-large' | 'cancelled'
  readonly reason: string
  readonly hadAnswer: boolean
}

export interface HttpCall {
  /** Scheme, host and port. */
  readonly origin: URL
  readonly agent: Agent
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Readonly<Record<string, string | number>>
  /** Sent one after the other; they must not change until the reply is there. */
  readonly body: readonly Uint8Array[]
  readonly limitMs: number
  readonly maxReplyBytes: number
  readonly clock: Clock
}

/** Up to this size a body goes out in one piece, because each piece may cost a packet and a call of the system. */
const ONE_PIECE_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)

/** `reply` rejects with an HttpTrouble. */
export class HttpExchange {
  readonly reply: Promise<HttpReply>
  #request: ClientRequest | undefined
  #settle: ((trouble: HttpTrouble) => void) | undefined
  #hadAnswer = false

  constructor(call: HttpCall) {
    this.reply = new Promise((resolve, reject) => {
      const timer = Number.isFinite(call.limitMs)
        ? call.clock.after(call.limitMs, () => this.#end('timeout', `no answer within ${Math.round(call.limitMs)} ms`))
        : undefined
      this.#settle = (trouble) => {
        timer?.cancel()
        reject(trouble)
      }
      this.#send(call, (reply) => {
        timer?.cancel()
        this.#settle = undefined
        resolve(reply)
      })
    })
  }

  cancel(): void {
    this.#end('cancelled', 'it was given up')
  }

  #send(call: HttpCall, done: (reply: HttpReply) => void): void {
    const { origin, agent, method, path, headers, body, maxReplyBytes } = call
    const options: RequestOptions = {
      agent,
      method,
      path,
      headers: headers as Record<string, string | number>,
      hostname: origin.hostname.replace(/^\[|\]$/g, ''),
      port: origin.port === '' ? (origin.protocol === 'https:' ? 443 : 80) : origin.port,
    }
    const request = origin.protocol === 'https:' ? httpsRequest(options) : httpRequest(options)
    this.#request = request
    // After an answer's head, what breaks is said by the answer.
    request.on('error', (error) => {
      if (!this.#hadAnswer) this.#end('broken', reasonOf(error))
    })
    request.on('response', (response) => {
      this.#hadAnswer = true
      const announced = Number(response.headers['content-length'])
      if (announced > maxReplyBytes) return this.#end('too-large', `${announced} bytes`)
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > maxReplyBytes) this.#end('too-large', `more than ${maxReplyBytes} bytes`)
        else chunks.push(chunk)
      })
      response.on('end', () => {
        const reply = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)
        done({ status: response.statusCode!, headers: response.headers, body: reply })
      })
      response.on('error', () => this.#end('broken', 'the connection broke in the middle of the answer'))
    })
    if (body.length === 0) request.end(NOTHING)
    else if (sizeOf(body) <= ONE_PIECE_BYTES) request.end(body.length === 1 ? body[0] : Buffer.concat(body))
    else {
      for (let i = 0; i < body.length; i++) request.write(body[i]!)
      request.end()
    }
  }

  #end(kind: HttpTrouble['kind'], reason: string): void {
    const settle = this.#settle
    if (settle === undefined) return
    this.#settle = undefined
    settle({ kind, reason, hadAnswer: this.#hadAnswer })
    this.#request?.destroy()
  }
}

export function sizeOf(body: readonly Uint8Array[]): number {
  let bytes = 0
  for (let i = 0; i < body.length; i++) bytes += body[i]!.length
  return bytes
}

function reasonOf(error: Error & { readonly code?: string; readonly errors?: readonly Error[] }): string {
  // A host with several addresses fails once for each.
  const first = error.errors?.[0] ?? error
  return first.message === '' ? (error.code ?? 'the connection failed') : first.message
}
