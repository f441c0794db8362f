// What the event loop and the parse worker say to each other: plain data, with buffers transferred and not copied where they are owned.
import type { SerializedError } from '../core/index.js'
import type { RowSchema, Tensor, TensorMap } from '../tensor/index.js'
import type { PredictRequest, PredictResponse } from './kserve-v1/index.js'
import type { NativeRequest, NativeResponse } from './native/index.js'
import type { InferRequest, InferResponse } from './oip/index.js'

export interface Protocols {
  readonly oip: { readonly request: InferRequest; readonly response: InferResponse }
  readonly 'kserve-v1': { readonly request: PredictRequest; readonly response: PredictResponse }
  readonly native: { readonly request: NativeRequest; readonly response: NativeResponse }
}
export type Protocol = keyof Protocols

export type ParseJob =
  | { readonly kind: 'parse'; readonly protocol: 'oip'; readonly body: Uint8Array }
  | {
      readonly kind: 'parse'
      readonly protocol: 'kserve-v1' | 'native'
      readonly body: Uint8Array
      readonly schema: RowSchema
    }
  | {
      readonly [P in Protocol]: {
        readonly kind: 'encode'
        readonly protocol: P
        readonly response: Protocols[P]['response']
      }
    }[Protocol]

export interface EncodedBody {
  readonly body: Uint8Array<ArrayBuffer>
  /** OIP only: the view of `body` that is the outputs array, for the log; undefined when it holds bare NaN or Infinity. */
  readonly rawOutputs: Uint8Array | undefined
}

export type ParseReply =
  | { readonly kind: 'parsed'; readonly request: Protocols[Protocol]['request'] }
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
  for (const { datatype, data } of inputs.values())
    if (datatype !== 'BYTES') buffers.add((data as Float32Array<ArrayBuffer>).buffer)
  return [...buffers]
}
