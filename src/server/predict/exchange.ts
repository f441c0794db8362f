// One request and the place for its reply. The predict handlers see no more of HTTP than this, so that the wire (`../wire/`)
// and `node:http` run the same code.
import type { Credentials } from '../../access/index.js'
import type { HeadraceError } from '../../core/index.js'
import type { Client } from './client.js'

/** The headers that predictions look at. */
export type PredictHeader =
  | 'content-type'
  | 'content-encoding'
  | 'accept-encoding'
  | 'inference-header-content-length'
  | 'headrace-unit'
  | 'headrace-priority'
  | 'traceparent'
  | 'authorization'
  | 'x-api-key'

export type Encoding = 'gzip' | 'deflate'

/** How a reply differs from a single body of JSON. */
export interface ReplyForm {
  /** Of what is JSON, before any compression; tensors stand behind it. Undefined: all of it is JSON. */
  readonly jsonBytes: number | undefined
  readonly encoding: Encoding | undefined
  /** What follows the body. */
  readonly parts: readonly Uint8Array[]
}

export interface Exchange {
  /** As the caller wrote it; for messages. */
  readonly url: string
  readonly client: Client
  readonly credentials: Credentials
  /** Undefined when the request has none. */
  header(name: PredictHeader): string | undefined
  /**
   * The whole body, at once when it is there. The reader owns it. It has to be called before anything is awaited: what arrives
   * while nobody reads may be gone. Where it is cheap, byte number `alignAt` gets an address divisible by eight. Throws or rejects with HTTP_BODY_TOO_LARGE, or with
   * HTTP_MALFORMED when the client goes away before its end.
   */
  readBody(alignAt?: number): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
  /** Sends a 200. Nothing happens when the client has gone. */
  answer(body: string | Uint8Array, id: string, flags: readonly string[], form?: ReplyForm): void
  /** Sends an error; without an id it was refused before it became a prediction. */
  refuse(error: HeadraceError, id?: string, flags?: readonly string[]): void
}
