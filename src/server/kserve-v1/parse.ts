// A predict request from its bytes. The wire has no datatypes: the model's row schema says how to read each value.
import {
  Byte,
  ColumnBuilder,
  type Columns,
  decodeBase64,
  type FeatureValue,
  inferShape,
  JsonReader,
  type JsonValue,
  type OpenRows,
  RowBuilder,
  type RowSchema,
  readTensorData,
  type Tensor,
  TensorErrors,
  type TensorMap,
  type TensorSpec,
} from '../../tensor/index.js'
import { KserveErrors } from './errors.js'
import type { PredictRequest } from './types.js'

/**
 * `{"instances": […]}` with an element for each row: an array or scalar for a model of one input, or an object keyed by input or
 * feature; or `{"inputs": …}`, columns: a whole tensor for a model of one input, or an object of them. Bytes may be
 * `{"b64": "…"}`. Other members, `signature_name` among them, are passed over.
 *
 * Throws KSERVE_FORM_INVALID, KSERVE_INPUT_NAMES_MISSING and TENSOR_…; all are the caller's fault.
 */
export function parsePredictRequest(body: Uint8Array, schema: RowSchema | OpenRows): PredictRequest {
  const reader = new JsonReader(body, 'non-finite')
  let form: 'rows' | 'columns' | undefined
  let inputs: TensorMap | undefined
  let open: OpenColumns | undefined
  if (reader.readObject('The request'))
    do {
      const offset = reader.start()
      const key = reader.readKey()
      if (key !== 'instances' && key !== 'inputs') {
        reader.skipValue()
        continue
      }
      const arrived = key === 'instances' ? 'rows' : 'columns'
      if (form === arrived) throw TensorErrors.MEMBER_DUPLICATE({ member: `"${key}"`, offset })
      if (form !== undefined) throw KserveErrors.FORM_INVALID({ arrived: 'both' })
      form = arrived
      if (schema.layout !== 'open')
        inputs = form === 'rows' ? readInstances(reader, schema) : readColumns(reader, schema)
      else open = form === 'rows' ? readOpenInstances(reader, schema) : readOpenColumns(reader, schema)
    } while (reader.moreMembers())
  reader.finish()
  if (form !== undefined && open !== undefined) return { form, inputs: NO_INPUTS, ...open }
  if (form === undefined || inputs === undefined || schema.layout === 'open')
    throw KserveErrors.FORM_INVALID({ arrived: 'neither' })
  return { form, inputs, columns: undefined, rows: countRows(inputs, schema) }
}

interface OpenColumns {
  readonly columns: Columns
  readonly rows: number
}

const NO_INPUTS: TensorMap = new Map()

/** Each instance an object, or a list for an endpoint whose first version has one input. */
function readOpenInstances(reader: JsonReader, schema: OpenRows): OpenColumns {
  if (!reader.readList('"instances"')) throw TensorErrors.ROWS_EMPTY()
  const builder = new ColumnBuilder(schema)
  do {
    if (reader.peek() === Byte.OPEN_OBJECT) {
      if (reader.readObject('An instance'))
        do {
          const name = reader.readKey()
          builder.put(name, readFeature(reader, name))
        } while (reader.moreMembers())
    } else if (schema.whole === undefined) throw KserveErrors.INPUT_NAMES_MISSING({ inputs: [...schema.names] })
    else builder.put(schema.whole, readFeature(reader, schema.whole))
    builder.endRow()
  } while (reader.moreElements())
  return { columns: builder.finish(), rows: builder.rows }
}

function readOpenColumns(reader: JsonReader, schema: OpenRows): OpenColumns {
  if (reader.peek() !== Byte.OPEN_OBJECT && schema.whole === undefined)
    throw KserveErrors.INPUT_NAMES_MISSING({ inputs: [...schema.names] })
  const given = new Map<string, readonly FeatureValue[]>()
  const put = (name: string) => {
    const offset = reader.start()
    const value = readFeature(reader, name)
    if (given.has(name)) throw TensorErrors.INPUT_DUPLICATE({ input: name })
    if (!schema.names.has(name))
      throw TensorErrors.INPUT_UNKNOWN({ input: name.slice(0, 100), known: [...schema.names] })
    if (!Array.isArray(value))
      throw TensorErrors.JSON_UNEXPECTED({
        member: `"${name.slice(0, 100)}" of "inputs"`,
        expected: 'a list with a value for each row',
        offset,
        near: reader.near(offset, reader.position),
      })
    given.set(name, value)
  }
  if (reader.peek() !== Byte.OPEN_OBJECT) put(schema.whole!)
  else if (reader.readObject('"inputs"'))
    do put(reader.readKey())
    while (reader.moreMembers())
  const [first] = given
  if (first === undefined || first[1].length === 0) throw TensorErrors.ROWS_EMPTY()
  for (const [input, column] of given)
    if (column.length !== first[1].length)
      throw TensorErrors.ROWS_MISMATCH({ first: first[0], rows: first[1].length, input, shape: [column.length] })
  return { columns: given as unknown as Columns, rows: first[1].length }
}

function readInstances(reader: JsonReader, schema: RowSchema): TensorMap {
  const mark = reader.mark()
  if (!reader.readList('"instances"')) throw TensorErrors.ROWS_EMPTY()
  if (reader.peek() === Byte.OPEN_OBJECT && !isBase64Next(reader, schema)) return readObjects(reader, schema)
  reader.reset(mark)
  const spec = onlyInput(schema)
  const tensor = readWhole(reader, spec)
  if (schema.signature.batchAxis === 0) return new Map([[spec.name, fitRank(tensor, spec)]])
  const [rows, ...shape] = tensor.shape
  if (rows !== 1) throw TensorErrors.ROWS_NOT_BATCHABLE({ rows: rows ?? 0 })
  return new Map([[spec.name, fitRank({ ...tensor, shape }, spec)]])
}

/** The list of objects that `reader` stands in. */
function readObjects(reader: JsonReader, schema: RowSchema): TensorMap {
  const builder = new RowBuilder(schema, 1)
  do {
    if (reader.readObject('An instance'))
      do {
        const name = reader.readKey()
        builder.put(name, readFeature(reader, name))
      } while (reader.moreMembers())
    builder.endRow()
  } while (reader.moreElements())
  return builder.finish()
}

function readColumns(reader: JsonReader, schema: RowSchema): TensorMap {
  if (reader.peek() !== Byte.OPEN_OBJECT) {
    const spec = onlyInput(schema)
    return new Map([[spec.name, fitRank(readWhole(reader, spec), spec)]])
  }
  const inputs = new Map<string, Tensor>()
  const specs = schema.signature.inputs
  if (reader.readObject('"inputs"'))
    do {
      const name = reader.readKey()
      const spec = specs.find((input) => input.name === name)
      if (spec === undefined)
        throw TensorErrors.INPUT_UNKNOWN({ input: name.slice(0, 100), known: specs.map((input) => input.name) })
      if (inputs.has(name)) throw TensorErrors.INPUT_DUPLICATE({ input: name })
      inputs.set(name, fitRank(readWhole(reader, spec), spec))
    } while (reader.moreMembers())
  return inputs
}

function onlyInput({ signature }: RowSchema): TensorSpec {
  const { inputs } = signature
  if (inputs.length !== 1) throw KserveErrors.INPUT_NAMES_MISSING({ inputs: inputs.map(({ name }) => name) })
  return inputs[0]!
}

/** A tensor of the shape its nesting shows. */
function readWhole(reader: JsonReader, { name, datatype }: TensorSpec): Tensor {
  const shape = inferShape(reader)
  return { name, datatype, shape, data: readTensorData(reader, name, datatype, shape, { acceptsBase64: true }) }
}

/** Scalars for an input [rows, 1] are taken as [rows]: an axis of one element holds the same data. */
function fitRank(tensor: Tensor, spec: TensorSpec): Tensor {
  const lacksAxis = tensor.shape.length + 1 === spec.shape.length && spec.shape.at(-1) === 1
  return lacksAxis ? { ...tensor, shape: [...tensor.shape, 1] } : tensor
}

function countRows(inputs: TensorMap, { signature }: RowSchema): number {
  if (signature.batchAxis === null) return 1
  for (const { shape } of inputs.values()) return shape[0] ?? 1
  return 1
}

/** Whether the object that comes next is `{"b64": …}`, a value and not a row. */
function isBase64Next(reader: JsonReader, schema: RowSchema): boolean {
  const { inputs } = schema.signature
  if (inputs.length !== 1 || inputs[0]!.datatype !== 'BYTES' || schema.featureIndex.has('b64')) return false
  const mark = reader.mark()
  const isBase64 = reader.readObject('') && reader.readKey() === 'b64'
  reader.reset(mark)
  return isBase64
}

function readFeature(reader: JsonReader, name: string): FeatureValue {
  const offset = reader.start()
  const value = toFeature(reader.readValue())
  if (value !== undefined) return value
  throw TensorErrors.JSON_UNEXPECTED({
    member: `"${name.slice(0, 100)}" of an instance`,
    expected: 'a value, a list of values, or {"b64": "…"} with valid base64',
    offset,
    near: reader.near(offset, reader.position),
  })
}

/** Undefined for an object that is not bytes. */
function toFeature(value: JsonValue): FeatureValue | undefined {
  if (typeof value !== 'object' || value === null) return value
  if (isList(value)) {
    const list: FeatureValue[] = []
    for (const element of value) {
      const converted = toFeature(element)
      if (converted === undefined) return undefined
      list.push(converted)
    }
    return list
  }
  const text = value['b64']
  return typeof text === 'string' && Object.keys(value).length === 1 ? decodeBase64(text) : undefined
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
