// What crosses between the Open Inference Protocol's JSON and the server: plain, cloneable data.
import type { Tensor, TensorMap } from '../../tensor/index.js'

export type Parameters = Readonly<Record<string, string | number | boolean>>

export interface InferRequest {
  readonly id: string | undefined
  readonly parameters: Parameters
  readonly inputs: TensorMap
  /** Output names in the order asked for; undefined means all. */
  readonly outputs: readonly string[] | undefined
  /** Parameters by output name, for those that have any. */
  readonly outputParameters: ReadonlyMap<string, Parameters>
  /**
   * The `inputs` array as it arrived, a view of the body; undefined when it does not hold all data, or bare NaN or Infinity, which
   * the log cannot store.
   */
  readonly rawInputs: Uint8Array | undefined
  /** Inputs that have no data yet: it follows the JSON, in this order. */
  readonly binaryInputs: readonly BinaryInput[]
  /** The body was a single tensor without JSON: all outputs are answered so. */
  readonly isRaw: boolean
}

export interface BinaryInput {
  readonly name: string
  readonly sizeBytes: number
}

/** Who a prediction is about, from `parameters.unit` and `parameters.entity.<key>`. */
export interface Identity {
  readonly unit: string | undefined
  readonly entities: Readonly<Record<string, string | number>>
}

export interface InferResponse {
  readonly modelName: string
  readonly modelVersion: string
  /** Echoed; left out of the reply when undefined. */
  readonly id: string | undefined
  readonly parameters: Parameters | undefined
  /** In the order of the reply. */
  readonly outputs: readonly Tensor[]
  /** For each output undefined, or the bytes that stand behind the JSON in place of its data. Undefined: all data is JSON. */
  readonly binarySizes?: readonly (number | undefined)[] | undefined
}

export interface EncodedInferResponse {
  readonly text: string
  /** The JSON of the outputs array alone; undefined when it holds bare NaN or Infinity. */
  readonly rawOutputs: string | undefined
}

export interface EncodedInferBytes {
  readonly body: Uint8Array<ArrayBuffer>
  /** The view of `body` that is the outputs array; undefined when it holds bare NaN or Infinity. */
  readonly rawOutputs: Uint8Array | undefined
}
