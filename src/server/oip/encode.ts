// Replies of the Open Inference Protocol as JSON text. Triton's health bodies are empty and KServe's client reads `live` and `ready`
// from them, so they are always written; clients of Triton look at the status alone.
import type { HeadraceError } from '../../core/index.js'
import {
  isStrictJson,
  quoteJson,
  type Signature,
  type Tensor,
  type TensorMap,
  type TensorSpec,
  TextBuffer,
  tensorToJson,
  writeTensorJson,
} from '../../tensor/index.js'
import { OipErrors } from './errors.js'
import type { EncodedInferBytes, EncodedInferResponse, InferResponse } from './types.js'

/** The outputs in the order asked for; all, in the signature's order, when undefined. Throws OIP_OUTPUT_MISSING. */
export function orderOutputs(
  outputs: TensorMap,
  requested: readonly string[] | undefined,
  signature: Signature,
): Tensor[] {
  const count = requested === undefined ? signature.outputs.length : requested.length
  const ordered: Tensor[] = []
  for (let i = 0; i < count; i++) {
    const name = requested === undefined ? signature.outputs[i]!.name : requested[i]!
    const tensor = outputs.get(name)
    if (tensor === undefined) throw OipErrors.OUTPUT_MISSING({ output: name, arrived: [...outputs.keys()] })
    ordered.push(tensor)
  }
  return ordered
}

/** Throws TENSOR_OUTPUT_NOT_TEXT. */
export function encodeInferResponse(response: InferResponse): EncodedInferResponse {
  const { outputs, binarySizes } = response
  let raw = '['
  let isStrict = binarySizes === undefined
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i]!
    if (i > 0) raw += ','
    const sizeBytes = binarySizes?.[i]
    raw += sizeBytes === undefined ? tensorToJson(output) : binaryToJson(output, sizeBytes)
    isStrict &&= isStrictJson(output)
  }
  raw += ']'
  return { text: `${inferResponseHead(response)}${raw}}`, rawOutputs: isStrict ? raw : undefined }
}

/** The same text as bytes, for the parse worker: written in pieces, so that no string holds all of a large reply. */
export function encodeInferResponseBytes(response: InferResponse): EncodedInferBytes {
  const { outputs, binarySizes } = response
  const text = new TextBuffer()
  const write = (piece: string): void => text.add(piece)
  text.add(`${inferResponseHead(response)}[`)
  const start = text.sizeBytes - 1
  for (let i = 0; i < outputs.length; i++) {
    if (i > 0) text.add(',')
    const sizeBytes = binarySizes?.[i]
    if (sizeBytes === undefined) writeTensorJson(outputs[i]!, write)
    else text.add(binaryToJson(outputs[i]!, sizeBytes))
  }
  text.add(']')
  const end = text.sizeBytes
  text.add('}')
  const body = text.toBytes()
  return {
    body,
    rawOutputs: binarySizes === undefined && outputs.every(isStrictJson) ? body.subarray(start, end) : undefined,
  }
}

/** An output whose data stands behind the JSON. */
function binaryToJson({ name, datatype, shape }: Tensor, sizeBytes: number): string {
  return `{"name":${quoteJson(name)},"datatype":"${datatype}","shape":[${shape.join(',')}],"parameters":{"binary_data_size":${sizeBytes}}}`
}

/** A reply up to its outputs array. */
function inferResponseHead(response: InferResponse): string {
  const { modelName, modelVersion, id, parameters } = response
  return `{"model_name":${quoteJson(modelName)},"model_version":${quoteJson(modelVersion)}${
    id === undefined ? '' : `,"id":${quoteJson(id)}`
  }${parameters === undefined ? '' : `,"parameters":${JSON.stringify(parameters)}`},"outputs":`
}

/** `error` is a string, as every client of the protocol expects; the code stands beside it. */
export function encodeError(error: HeadraceError): string {
  return JSON.stringify({ error: error.message, code: error.code })
}

export function encodeLive(live: boolean): string {
  return JSON.stringify({ live })
}

export function encodeReady(ready: boolean): string {
  return JSON.stringify({ ready })
}

export function encodeModelReady(name: string, ready: boolean): string {
  return JSON.stringify({ name, ready })
}

export function encodeServerMetadata(server: {
  readonly version: string
  readonly extensions: readonly string[]
}): string {
  return JSON.stringify({ name: 'headrace', version: server.version, extensions: server.extensions })
}

export function encodeModelMetadata(model: {
  readonly name: string
  readonly versions: readonly number[]
  readonly platform: string
  readonly signature: Signature
}): string {
  return JSON.stringify({
    name: model.name,
    versions: model.versions.map(String),
    platform: model.platform,
    inputs: model.signature.inputs.map(describe),
    outputs: model.signature.outputs.map(describe),
  })
}

/** KServe only; Triton has no list of models but its repository index. */
export function encodeModelList(names: readonly string[]): string {
  return JSON.stringify({ models: names })
}

function describe({ name, datatype, shape }: TensorSpec): object {
  return { name, datatype, shape }
}
