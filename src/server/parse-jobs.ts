// What the event loop and the parse worker say to each other: plain data, with buffers transferred and not copied where they are owned.
import type { SerializedError } from '../core/index.js'
import type { OpenRows, RowSchema, Tensor, TensorMap } from '../tensor/index.js'
import type { PredictRequest, PredictResponse } from './kserve-v1/index.js'
import type { NativeRequest } from './native/index.js'
import type { InferRequest, InferResponse } from './oip/index.js'

export interface ParsedRequests {
  readonly oip: InferRequest
  readonly 'kserve-v1': PredictRequest
  readonly native: NativeRequest
}
export type Protocol = keyof ParsedRequests

/** Native replies are written row by row as the rows are answered, so they are never encoded as a whole. */
export interface EncodedResponses {
  readonly oip: InferResponse
  readonly 'kserve-v1': PredictResponse
}

export type ParseJob =
  | { readonly kind: 'parse'; readonly protocol: 'oip'; readonly body: Uint8Array }
  | {
      readonly kind: 'parse'
      readonly protocol: 'kserve-v1' | 'native'
      readonly body: Uint8Array
      readonly schema: RowSchema | OpenRows
    }
  | {
      readonly [P in keyof EncodedResponses]: {
        readonly kind: 'encode'
        readonly protocol: P
        readonly response: EncodedResponses[P]
      }
    }[keyof EncodedResponses]

export interface EncodedBody {
  readonly body: Uint8Array<ArrayBuffer>
  /** OIP only: the view of `body` that is the outputs array, for the log; undefined when it holds bare NaN or Infinity. */
  readonly rawOutputs: Uint8Array | undefined
}

export type ParseReply =
  | { readonly kind: 'parsed'; readonly request: ParsedRequests[Protocol] }
  | { readonly kind: 'encoded'; readonly encoded: EncodedBody }
  | { readonly kind: 'failed'; readonly error: SerializedError }

/** Buffers cross as plain Uint8Arrays; elements of BYTES become Buffers again, on the same memory. */
export function restoreBuffers(tensors: Iterable<Tensor>): void {
  for (const { datatype, data } of tensors) {
    if (datatype !== 'BYTES') continue
    const elements = data as Uint8Array[]
    for (let i = 0; i < elements.length; i++) {
      const { buffer, byteOffset, byteLength } = elements[i]!
      elements[i] = Buffer.from(buffer, byteOffset, byteLength)
    }
  }
}

/** Memory of a parsed request that nothing else holds; BYTES stand in the body itself or in a pool that others use. */
export function ownedBuffers(inputs: TensorMap, body: Uint8Array): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>([body.buffer as ArrayBuffer])
  for (const { datatype, data } of inputs.values() as Iterable<Tensor & { data: Float32Array<ArrayBuffer> }>)
    if (datatype !== 'BYTES' && data.byteLength === data.buffer.byteLength) buffers.add(data.buffer)
  return [...buffers]
}
