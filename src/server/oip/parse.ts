// An infer request from its bytes. Members may come in any order; null counts as left out; unknown members are passed over.
import {
  Byte,
  type DataType,
  datatypeNamed,
  JsonReader,
  MAX_DIMENSIONS,
  readTensorData,
  type Tensor,
  type TensorData,
  TensorErrors,
} from '../../tensor/index.js'
import { OipErrors } from './errors.js'
import type { BinaryInput, Identity, InferRequest, Parameters } from './types.js'

/** A large request is handed from the parse worker to the event loop, which takes time for each object in it. */
const MAX_INPUTS = 4096
const MAX_OUTPUTS = 1024
const MAX_PARAMETERS = 128

const NO_PARAMETERS: Parameters = {}
const NO_OUTPUT_PARAMETERS: ReadonlyMap<string, Parameters> = new Map()
const NO_BINARY_INPUTS: readonly BinaryInput[] = []
/** Of a tensor whose data is not in the JSON; a part of its buffer, since a whole one is given away by the parse worker. */
const NO_DATA = new Uint8Array(8).subarray(0, 0)

/**
 * A request's JSON, whole or without the tensors behind it: inputs that declare `binary_data_size` are there without their data.
 *
 * Throws TENSOR_JSON_INVALID, TENSOR_JSON_UNEXPECTED, TENSOR_MEMBER_MISSING, TENSOR_MEMBER_DUPLICATE, TENSOR_INPUT_DUPLICATE,
 * TENSOR_DATATYPE_UNKNOWN, what `readTensorData` throws, and OIP_…; all are the caller's fault.
 */
export function parseInferRequest(body: Uint8Array): InferRequest {
  const reader = new JsonReader(body, 'non-finite')
  let id: string | undefined
  let parameters = NO_PARAMETERS
  let inputs: Inputs | undefined
  let rawInputs: Uint8Array | undefined
  let requested: RequestedOutputs | undefined
  if (reader.readObject('The request'))
    do {
      const at = reader.start()
      const key = reader.readKey()
      if (reader.takeNull()) continue
      switch (key) {
        case 'id':
          if (id !== undefined) throw duplicate('"id"', at)
          id = reader.readString('"id"')
          break
        case 'parameters':
          if (parameters !== NO_PARAMETERS) throw duplicate('"parameters"', at)
          parameters = readParameters(reader, '"parameters"')
          break
        case 'inputs': {
          if (inputs !== undefined) throw duplicate('"inputs"', at)
          const start = reader.start()
          reader.sawNonFinite = false
          inputs = readInputs(reader)
          if (!reader.sawNonFinite && inputs.binary === undefined)
            rawInputs = reader.bytes.subarray(start, reader.position)
          break
        }
        case 'outputs':
          if (requested !== undefined) throw duplicate('"outputs"', at)
          requested = readOutputs(reader)
          break
        default:
          reader.skipValue()
      }
    } while (reader.moreMembers())
  reader.finish()
  if (inputs === undefined) throw TensorErrors.MEMBER_MISSING({ member: '"inputs"', of: 'The request' })
  if (parameters !== NO_PARAMETERS) refuseSequence(parameters)
  return {
    id,
    parameters,
    inputs: inputs.tensors,
    outputs: requested?.names,
    outputParameters: requested?.parameters ?? NO_OUTPUT_PARAMETERS,
    rawInputs,
    binaryInputs: inputs.binary ?? NO_BINARY_INPUTS,
    isRaw: false,
  }
}

/** `parameters.unit` and every `parameters["entity.<key>"]`, as text; whole numbers that JSON may have rounded stay numbers, which no key takes. */
export function identityOf(parameters: Parameters): Identity {
  let unit: string | undefined
  let entities: Record<string, string | number> | undefined
  for (const key in parameters) {
    if (key === 'unit') unit = String(parameters[key])
    else if (key.startsWith('entity.')) {
      // Without a prototype: any name may be sent.
      entities ??= Object.create(null) as Record<string, string | number>
      const value = parameters[key]!
      const isRounded = Number.isInteger(value) && !Number.isSafeInteger(value)
      entities[key.slice('entity.'.length)] = isRounded ? (value as number) : String(value)
    }
  }
  return { unit, entities: entities ?? NO_ENTITIES }
}

const NO_ENTITIES: Identity['entities'] = {}

function duplicate(member: string, offset: number): Error {
  return TensorErrors.MEMBER_DUPLICATE({ member, offset })
}

function readParameters(reader: JsonReader, member: string): Parameters {
  const parameters: Record<string, string | number | boolean> = {}
  let count = 0
  if (reader.readObject(member))
    do {
      const at = reader.start()
      const key = reader.readKey()
      if (reader.takeNull()) continue
      if (Object.hasOwn(parameters, key)) throw duplicate(`A parameter in ${member}`, at)
      if (count++ === MAX_PARAMETERS)
        throw OipErrors.TOO_MANY({ what: `parameters in ${member}`, limit: MAX_PARAMETERS })
      // MLServer's clients put the headers of their request there.
      if (key === 'headers' && reader.peek() === Byte.OPEN_OBJECT) reader.skipValue()
      else parameters[key] = readParameter(reader, member)
    } while (reader.moreMembers())
  return parameters
}

function readParameter(reader: JsonReader, member: string): string | number | boolean {
  switch (reader.peek()) {
    case Byte.QUOTE:
      return reader.takeString()
    case Byte.t:
    case Byte.f:
      return reader.takeBoolean()
    default:
      return reader.readNumber(`A parameter in ${member}, if neither a string nor a boolean,`)
  }
}

interface Inputs {
  readonly tensors: Map<string, Tensor>
  binary: BinaryInput[] | undefined
}

function readInputs(reader: JsonReader): Inputs {
  const inputs: Inputs = { tensors: new Map(), binary: undefined }
  const { tensors } = inputs
  if (reader.readList('"inputs"'))
    do {
      if (tensors.size === MAX_INPUTS) throw OipErrors.TOO_MANY({ what: 'inputs', limit: MAX_INPUTS })
      const tensor = readInput(reader, inputs)
      if (tensors.has(tensor.name)) throw TensorErrors.INPUT_DUPLICATE({ input: tensor.name })
      tensors.set(tensor.name, tensor)
    } while (reader.moreElements())
  return inputs
}

function readInput(reader: JsonReader, inputs: Inputs): Tensor {
  let name: string | undefined
  let datatype: DataType | undefined
  let shape: number[] | undefined
  let parameters = NO_PARAMETERS
  let dataStart = -1
  let data: TensorData | undefined
  if (reader.readObject('An element of "inputs"'))
    do {
      const at = reader.start()
      const key = reader.readKey()
      if (reader.takeNull()) continue
      switch (key) {
        case 'name':
          if (name !== undefined) throw duplicate('"name" of an input', at)
          name = reader.readName('"name" of an input')
          break
        case 'shape':
          if (shape !== undefined) throw duplicate('"shape" of an input', at)
          shape = readShape(reader, name)
          break
        case 'datatype':
          if (datatype !== undefined) throw duplicate('"datatype" of an input', at)
          datatype = readDatatype(reader, name)
          break
        case 'parameters':
          if (parameters !== NO_PARAMETERS) throw duplicate('"parameters" of an input', at)
          parameters = readParameters(reader, '"parameters" of an input')
          break
        case 'data':
          if (dataStart !== -1) throw duplicate('"data" of an input', at)
          dataStart = reader.start()
          if (name !== undefined && datatype !== undefined && shape !== undefined)
            data = readTensorData(reader, name, datatype, shape)
          else reader.skipValue()
          break
        default:
          reader.skipValue()
      }
    } while (reader.moreMembers())
  if (name === undefined) throw TensorErrors.MEMBER_MISSING({ member: '"name"', of: 'An input' })
  if (parameters !== NO_PARAMETERS) refuseSharedMemory(name, parameters)
  if (datatype === undefined) throw TensorErrors.MEMBER_MISSING({ member: '"datatype"', of: `Input "${name}"` })
  if (shape === undefined) throw TensorErrors.MEMBER_MISSING({ member: '"shape"', of: `Input "${name}"` })
  const sizeBytes = parameters['binary_data_size']
  if (sizeBytes !== undefined) {
    if (dataStart !== -1) throw OipErrors.INPUT_DATA_TWICE({ input: name })
    inputs.binary ??= []
    inputs.binary.push({ name, sizeBytes: binarySize(name, sizeBytes) })
    return { name, datatype, shape, data: NO_DATA }
  }
  if (dataStart === -1) throw OipErrors.INPUT_DATA_MISSING({ input: name })
  if (data === undefined) {
    // The data came before what says how to read it.
    const end = reader.position
    reader.position = dataStart
    data = readTensorData(reader, name, datatype, shape)
    reader.position = end
  }
  return { name, datatype, shape, data }
}

function readShape(reader: JsonReader, name: string | undefined): number[] {
  const shape: number[] = []
  if (reader.readList('"shape" of an input'))
    do {
      shape.push(reader.readNumber('A size in the "shape" of an input'))
      if (shape.length > MAX_DIMENSIONS)
        throw TensorErrors.SHAPE_INVALID({ input: name ?? '?', problem: `has more than ${MAX_DIMENSIONS} sizes` })
    } while (reader.moreElements())
  return shape
}

function readDatatype(reader: JsonReader, name: string | undefined): DataType {
  const text = reader.readString('"datatype" of an input')
  const datatype = datatypeNamed(text)
  if (datatype === undefined) throw TensorErrors.DATATYPE_UNKNOWN({ input: name ?? '?', datatype: text.slice(0, 40) })
  return datatype
}

function binarySize(input: string, arrived: string | number | boolean): number {
  if (Number.isSafeInteger(arrived) && (arrived as number) >= 0) return arrived as number
  throw OipErrors.PARAMETER_INVALID({
    parameter: 'binary_data_size',
    of: `input "${input}"`,
    expected: 'a number of bytes',
    arrived: JSON.stringify(arrived),
  })
}

function refuseSharedMemory(tensor: string, parameters: Parameters): void {
  if (parameters['shared_memory_region'] !== undefined) throw OipErrors.SHARED_MEMORY_UNSUPPORTED({ tensor })
}

/** What clients send for no sequence passes. Answering the parts of one as if they were alone would be wrong without a sign of it. */
export function refuseSequence(parameters: Parameters): void {
  for (const parameter of SEQUENCE_PARAMETERS) {
    const value = parameters[parameter]
    if (value !== undefined && value !== 0 && value !== '' && value !== false)
      throw OipErrors.SEQUENCE_UNSUPPORTED({ parameter })
  }
}

const SEQUENCE_PARAMETERS = ['sequence_id', 'sequence_start', 'sequence_end']

interface RequestedOutputs {
  /** Undefined for an empty list, which asks for all. */
  readonly names: readonly string[] | undefined
  readonly parameters: ReadonlyMap<string, Parameters>
}

function readOutputs(reader: JsonReader): RequestedOutputs {
  const names: string[] = []
  const known = new Set<string>()
  const byName = new Map<string, Parameters>()
  if (reader.readList('"outputs"'))
    do {
      if (names.length === MAX_OUTPUTS) throw OipErrors.TOO_MANY({ what: 'outputs', limit: MAX_OUTPUTS })
      let name: string | undefined
      let parameters = NO_PARAMETERS
      if (reader.readObject('An element of "outputs"'))
        do {
          const at = reader.start()
          const key = reader.readKey()
          if (reader.takeNull()) continue
          if (key === 'name') {
            if (name !== undefined) throw duplicate('"name" of an output', at)
            name = reader.readName('"name" of an output')
          } else if (key === 'parameters') {
            if (parameters !== NO_PARAMETERS) throw duplicate('"parameters" of an output', at)
            parameters = readParameters(reader, '"parameters" of an output')
          } else reader.skipValue()
        } while (reader.moreMembers())
      if (name === undefined) throw TensorErrors.MEMBER_MISSING({ member: '"name"', of: 'An output' })
      if (known.size === known.add(name).size) throw OipErrors.OUTPUT_DUPLICATE({ output: name })
      if (parameters !== NO_PARAMETERS) {
        refuseSharedMemory(name, parameters)
        byName.set(name, parameters)
      }
      names.push(name)
    } while (reader.moreElements())
  return { names: names.length === 0 ? undefined : names, parameters: byName }
}
