// One request and the place for its reply. The predict handlers see no more of HTTP than this, so that the wire (`../wire/`)
// and `node:http` run the same code.
import type { HeadraceError } from '../../core/index.js'
import type { Client } from './client.js'

/** The headers that predictions look at. */
export type PredictHeader =
  | 'content-type'
  | 'content-encoding'
  | 'inference-header-content-length'
  | 'headrace-unit'
  | 'headrace-priority'
  | 'traceparent'

export interface Exchange {
  /** As the caller wrote it; for messages. */
  readonly url: string
  readonly client: Client
  /** Undefined when the request has none. */
  header(name: PredictHeader): string | undefined
  /**
   * The whole body, at once when it is there. The reader owns it. Throws or rejects with HTTP_BODY_TOO_LARGE, or with
   * HTTP_MALFORMED when the client goes away before its end.
   */
  readBody(): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
  /** Sends a 200. Nothing happens when the client has gone. */
  answer(body: string | Uint8Array, id: string, flags: readonly string[]): void
  /** Sends an error; without an id it was refused before it became a prediction. */
  refuse(error: HeadraceError, id?: string, flags?: readonly string[]): void
}
