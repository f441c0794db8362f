// The native call: rows of named features in; ids, named outputs, versions and timings out. Strict JSON both ways.
// Signatures first; the bodies follow in the next commits.
import type { NamedOutputs, RowSchema, TensorMap } from '../../tensor/index.js'

export interface NativeRequest {
  /** True when `inputs` was one row and not a list: the reply is then one prediction and not a list. */
  readonly single: boolean
  readonly rows: number
  /** All rows together; each row is its own prediction. */
  readonly inputs: TensorMap
  /** Per row. */
  readonly units: readonly (string | undefined)[]
  /** Per row. */
  readonly entities: readonly Readonly<Record<string, string>>[]
  /** Graph outputs to compute; undefined means all. */
  readonly outputs: readonly string[] | undefined
}

export interface NativePrediction {
  readonly id: string
  readonly model: string
  readonly version: number
  readonly outputs: NamedOutputs
  readonly flags: readonly string[]
}

export interface NativeResponse {
  readonly endpoint: string
  readonly single: boolean
  readonly predictions: readonly NativePrediction[]
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<string, number>>
}

export declare function parseNativeRequest(body: Uint8Array, schema: RowSchema): NativeRequest
export declare function encodeNativeResponse(response: NativeResponse): string
