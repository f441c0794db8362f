// ModelInferRequest as the server needs it: names and shapes decoded, data left as the bytes that arrived. A hand-written
// decoder, because the generated one makes a list of numbers of each `contents` and an object for each parameter; a test holds
// it to the generated one.
import { MAX_DIMENSIONS, TensorErrors } from '../../tensor/index.js'
import { OipErrors, type Parameters } from '../oip/index.js'
import { DELIMITED, FIXED64, VARINT, WireReader } from './wire-reader.js'

export interface WireInput {
  name: string
  datatype: string
  shape: number[]
  parameters: Parameters
  /** The InferTensorContents, undecoded; undefined when the field is absent. */
  contents: Buffer | undefined
}

export interface WireOutput {
  name: string
  parameters: Parameters
}

export interface WireInferRequest {
  modelName: string
  modelVersion: string
  id: string
  parameters: Parameters
  inputs: WireInput[]
  outputs: WireOutput[]
  raw: Buffer[]
}

/** As over HTTP. */
const MAX_INPUTS = 4096
const MAX_OUTPUTS = 1024
const MAX_PARAMETERS = 128
/** Of a whole request: what clients send has a few for each input, and so many are read within 5 ms. */
export const MAX_FIELDS = 64 * 1024

const NO_PARAMETERS: Parameters = Object.freeze({})
const field = (number: number, type: number): number => (number << 3) | type

/** Throws GRPC_MESSAGE_INVALID, TENSOR_SHAPE_INVALID and OIP_TOO_MANY. */
export function decodeInferRequest(bytes: Buffer): WireInferRequest {
  const reader = new WireReader(bytes, MAX_FIELDS)
  const request: WireInferRequest = {
    modelName: '',
    modelVersion: '',
    id: '',
    parameters: NO_PARAMETERS,
    inputs: [],
    outputs: [],
    raw: [],
  }
  while (reader.hasMore) {
    const tag = reader.tag()
    switch (tag) {
      case field(1, DELIMITED):
        request.modelName = reader.string()
        break
      case field(2, DELIMITED):
        request.modelVersion = reader.string()
        break
      case field(3, DELIMITED):
        request.id = reader.string()
        break
      case field(4, DELIMITED):
        request.parameters = withParameter(request.parameters, reader)
        break
      case field(5, DELIMITED):
        bounded(request.inputs.length, 'inputs', MAX_INPUTS)
        request.inputs.push(readInput(reader))
        break
      case field(6, DELIMITED):
        bounded(request.outputs.length, 'outputs', MAX_OUTPUTS)
        request.outputs.push(readOutput(reader))
        break
      case field(7, DELIMITED):
        bounded(request.raw.length, 'raw_input_contents', MAX_INPUTS)
        request.raw.push(reader.delimited())
        break
      default:
        reader.skip(tag)
    }
  }
  return request
}

function bounded(count: number, what: string, limit: number): void {
  if (count >= limit) throw OipErrors.TOO_MANY({ what, limit })
}

function readInput(reader: WireReader): WireInput {
  const input: WireInput = { name: '', datatype: '', shape: [], parameters: NO_PARAMETERS, contents: undefined }
  let parts: Buffer[] | undefined
  const outer = reader.enter()
  while (reader.hasMore) {
    const tag = reader.tag()
    switch (tag) {
      case field(1, DELIMITED):
        input.name = reader.string()
        break
      case field(2, DELIMITED):
        input.datatype = reader.string()
        break
      case field(3, DELIMITED): {
        const end = reader.enter()
        while (reader.hasMore) addSize(input, reader.int64())
        reader.leave(end)
        break
      }
      case field(3, VARINT):
        addSize(input, reader.int64())
        break
      case field(4, DELIMITED):
        input.parameters = withParameter(input.parameters, reader)
        break
      case field(5, DELIMITED): {
        const contents = reader.delimited()
        if (input.contents === undefined) input.contents = contents
        else {
          parts ??= [input.contents]
          parts.push(contents)
        }
        break
      }
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  // Parts of a message that come apart are one: their bytes joined are the message.
  if (parts !== undefined) input.contents = Buffer.concat(parts)
  return input
}

function addSize({ name, shape }: WireInput, size: number): void {
  if (shape.length >= MAX_DIMENSIONS)
    throw TensorErrors.SHAPE_INVALID({ input: name, problem: `has more than ${MAX_DIMENSIONS} sizes` })
  shape.push(size)
}

function readOutput(reader: WireReader): WireOutput {
  const output: WireOutput = { name: '', parameters: NO_PARAMETERS }
  const outer = reader.enter()
  while (reader.hasMore) {
    const tag = reader.tag()
    if (tag === field(1, DELIMITED)) output.name = reader.string()
    else if (tag === field(2, DELIMITED)) output.parameters = withParameter(output.parameters, reader)
    else reader.skip(tag)
  }
  reader.leave(outer)
  return output
}

/** One entry of the map: its key is field 1 and its value, an InferParameter, field 2. */
function withParameter(parameters: Parameters, reader: WireReader): Parameters {
  const own: Record<string, string | number | boolean> = parameters === NO_PARAMETERS ? {} : parameters
  let key = ''
  let value: string | number | boolean | undefined
  const outer = reader.enter()
  while (reader.hasMore) {
    const tag = reader.tag()
    if (tag === field(1, DELIMITED)) key = reader.string()
    else if (tag === field(2, DELIMITED)) value = readParameter(reader, value)
    else reader.skip(tag)
  }
  reader.leave(outer)
  // Nobody's parameter, and no member like the others.
  if (value === undefined || key === '__proto__') return own
  if (!Object.hasOwn(own, key)) bounded(Object.keys(own).length, 'parameters', MAX_PARAMETERS)
  own[key] = value
  return own
}

function readParameter(
  reader: WireReader,
  before: string | number | boolean | undefined,
): string | number | boolean | undefined {
  let value = before
  const outer = reader.enter()
  while (reader.hasMore) {
    const tag = reader.tag()
    switch (tag) {
      case field(1, VARINT):
        value = reader.uint64() !== 0
        break
      case field(2, VARINT):
        value = reader.int64()
        break
      case field(3, DELIMITED):
        value = reader.string()
        break
      case field(4, FIXED64):
        value = reader.double()
        break
      case field(5, VARINT):
        value = reader.uint64()
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  return value
}
