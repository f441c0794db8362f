// Bodies over 256 KiB are parsed, and large replies written, in a worker thread: 64 MB of JSON takes over a second.
// Signatures first; the bodies follow in the next commits.
import type { Platform } from '../core/index.js'
import type { RowSchema } from '../tensor/index.js'
import type { PredictRequest, PredictResponse } from './kserve-v1/index.js'
import type { NativeRequest, NativeResponse } from './native/index.js'
import type { InferRequest, InferResponse } from './oip/index.js'

export interface Protocols {
  readonly oip: { readonly request: InferRequest; readonly response: InferResponse }
  readonly 'kserve-v1': { readonly request: PredictRequest; readonly response: PredictResponse }
  readonly native: { readonly request: NativeRequest; readonly response: NativeResponse }
}
export type Protocol = keyof Protocols

export interface EncodedBody {
  readonly body: Uint8Array
  /** OIP only: the view of `body` that is the outputs array, for the log; undefined when it holds bare NaN or Infinity. */
  readonly rawOutputs: Uint8Array | undefined
}

export interface ParsePoolOptions {
  readonly platform: Platform
  /** Default 1. */
  readonly threads?: number
  /** Bodies waiting or being parsed, default 256 MiB; beyond it HTTP 429. */
  readonly maxQueueBytes?: number
}

export interface ParsePool {
  /** `body` is transferred: the caller must not touch it again. `schema` is for kserve-v1 and native. */
  parse<P extends Protocol>(
    protocol: P,
    body: Uint8Array<ArrayBuffer>,
    schema: RowSchema | undefined,
  ): Promise<Protocols[P]['request']>
  encode<P extends Protocol>(protocol: P, response: Protocols[P]['response']): Promise<EncodedBody>
  close(): Promise<void>
}

/** Bodies above this many bytes go to the pool. */
export const PARSE_INLINE_MAX_BYTES: number = 256 * 1024
/** Roughly how many bytes a reply will take; above PARSE_INLINE_MAX_BYTES it goes to the pool. */
export declare function estimateReplyBytes(outputs: ReadonlyMap<string, import('../tensor/index.js').Tensor>): number
export declare function createParsePool(options: ParsePoolOptions): ParsePool
