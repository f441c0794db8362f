// Replies as text, head and body in one string, so that each is one write.
import { STATUS_CODES } from 'node:http'
import type { Clock, HeadraceError } from '../../core/index.js'
import type { ReplyForm } from '../predict/exchange.js'
import { BINARY_TYPE, errorBody, errorHeaders, JSON_LENGTH_HEADER, JSON_TYPE } from '../reply.js'

const ANSWER = `HTTP/1.1 200 OK\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: `

export class ReplyText {
  #second = -1
  #date = ''
  readonly #keptAlive: string

  constructor(
    private readonly clock: Clock,
    keepAliveTimeoutMs: number,
  ) {
    this.#keptAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n\r\n`
  }

  /** The head of a 200. */
  answer(sizeBytes: number, id: string, flags: readonly string[], isLast: boolean): string {
    const more = flags.length === 0 ? '' : `\r\nHeadrace-Flags: ${flags.join(', ')}`
    return `${ANSWER}${sizeBytes}\r\nHeadrace-Prediction-Id: ${id}${more}\r\n${this.#end(isLast)}`
  }

  /** The same for a reply that is not a single body of JSON. */
  formed(sizeBytes: number, id: string, flags: readonly string[], form: ReplyForm, isLast: boolean): string {
    const { jsonBytes, encoding } = form
    const type = jsonBytes === undefined ? JSON_TYPE : `${BINARY_TYPE}\r\n${JSON_LENGTH_HEADER}: ${jsonBytes}`
    const coding = encoding === undefined ? '' : `\r\nContent-Encoding: ${encoding}`
    const more = flags.length === 0 ? '' : `\r\nHeadrace-Flags: ${flags.join(', ')}`
    return `HTTP/1.1 200 OK\r\nContent-Type: ${type}${coding}\r\nContent-Length: ${sizeBytes}\r\nHeadrace-Prediction-Id: ${id}${more}\r\n${this.#end(isLast)}`
  }

  /** All of an error. */
  error(error: HeadraceError, id: string | undefined, flags: readonly string[], isLast: boolean): string {
    const body = errorBody(error)
    const headers = errorHeaders(error, id, flags)
    let text = `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? 'Error'}\r\n`
    for (let i = 0; i < headers.length; i += 2) text += `${headers[i]!}: ${headers[i + 1]!}\r\n`
    return `${text}Content-Length: ${Buffer.byteLength(body)}\r\n${this.#end(isLast)}${body}`
  }

  #end(isLast: boolean): string {
    const second = Math.floor(this.clock.nowMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#date = `Date: ${new Date(second * 1000).toUTCString()}\r\n`
    }
    return this.#date + (isLast ? 'Connection: close\r\n\r\n' : this.#keptAlive)
  }
}
