// Tensors as gRPC's InferTensorContents has them: one list per family of datatypes, elements flattened in row-major order.
import { allocate, type DataType, type TensorData } from './datatype.js'
import { TensorErrors } from './errors.js'
import { MAX_STRINGS } from './json-scan.js'
import { checkedCount } from './shape.js'
import type { Tensor } from './tensor.js'

/** Lists that are absent count as empty. */
export interface TypedContents {
  /** As a Uint8Array only 0 and 1. */
  readonly boolContents?: readonly boolean[] | Uint8Array
  /** INT8, INT16 and INT32. */
  readonly intContents?: ArrayLike<number>
  readonly int64Contents?: ArrayLike<bigint>
  /** UINT8, UINT16 and UINT32. */
  readonly uintContents?: ArrayLike<number>
  readonly uint64Contents?: ArrayLike<bigint>
  readonly fp32Contents?: ArrayLike<number>
  readonly fp64Contents?: ArrayLike<number>
  readonly bytesContents?: readonly Uint8Array[]
}

type Field = keyof TypedContents

const FIELDS: { readonly [D in Exclude<DataType, 'FP16' | 'BF16'>]: Field } = {
  BOOL: 'boolContents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
}

const ALL_FIELDS: readonly Field[] = [...new Set(Object.values(FIELDS))]

/** Of the types that share a field with a wider one. */
const RANGES: { readonly [D in DataType]?: readonly [least: number, most: number] } = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffff_ffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x8000_0000, 0x7fff_ffff],
}

/**
 * The data of tensor `name`: a list of the datatype's own kind as it is, else a copy; elements of BYTES stay the memory they are. Of
 * lists of another length than the shape's, or that are not the datatype's, only the length is looked at. Throws TENSOR_SHAPE_INVALID,
 * TENSOR_LENGTH_MISMATCH, TENSOR_STRINGS_TOO_MANY and TENSOR_CONTENTS_INVALID: for elements in another list than the
 * datatype's or out of its range, and for FP16 and BF16, which only come raw.
 */
export function readTypedContents(
  contents: TypedContents,
  name: string,
  datatype: DataType,
  shape: readonly number[],
): TensorData {
  const expected = checkedCount(name, shape)
  const field = fieldOf(name, datatype)
  for (let i = 0; i < ALL_FIELDS.length; i++) {
    const other = ALL_FIELDS[i]!
    const elements = other === field ? 0 : (contents[other]?.length ?? 0)
    if (elements > 0)
      throw TensorErrors.CONTENTS_INVALID({
        tensor: name,
        datatype,
        problem: `belongs into ${wireName(field)}, but ${elements} elements arrived in ${wireName(other)}`,
      })
  }
  const source = contents[field] ?? []
  if (source.length !== expected)
    throw TensorErrors.LENGTH_MISMATCH({ input: name, shape, expected, elements: source.length })
  if (datatype === 'BYTES') return readBytes(source as readonly Uint8Array[], name)
  if (source.constructor === ownKind(datatype)) return source as TensorData
  const range = RANGES[datatype]
  if (range !== undefined) checkRange(source as ArrayLike<number>, name, datatype, range)
  const data = allocate(datatype, expected)
  if (datatype === 'BOOL') {
    for (let i = 0; i < expected; i++) (data as Uint8Array)[i] = source[i] === true ? 1 : 0
  } else {
    // Both are numbers, or both are bigints; Float64Array stands for all of them.
    ;(data as Float64Array).set(source as readonly number[])
  }
  return data
}

/** Throws TENSOR_CONTENTS_INVALID for FP16 and BF16. Elements of BYTES stay the memory they are. */
export function typedContents({ name, datatype, data }: Tensor): TypedContents {
  const field = fieldOf(name, datatype)
  if (datatype === 'BOOL') return { boolContents: Array.from(data as Uint8Array, (flag) => flag !== 0) }
  return { [field]: Array.isArray(data) ? data : Array.from(data as Float64Array) }
}

const KINDS = new Map<DataType, unknown>()

function ownKind(datatype: DataType): unknown {
  let kind = KINDS.get(datatype)
  if (kind === undefined) {
    kind = allocate(datatype, 0).constructor
    KINDS.set(datatype, kind)
  }
  return kind
}

function fieldOf(name: string, datatype: DataType): Field {
  if (datatype === 'FP16' || datatype === 'BF16')
    throw TensorErrors.CONTENTS_INVALID({ tensor: name, datatype, problem: 'has no list of its own' })
  return FIELDS[datatype]
}

/** `intContents` is `int_contents` on the wire. */
function wireName(field: Field): string {
  return field.replace('Contents', '_contents')
}

function readBytes(elements: readonly Uint8Array[], name: string): Buffer[] {
  if (elements.length > MAX_STRINGS) throw TensorErrors.STRINGS_TOO_MANY({ input: name, limit: MAX_STRINGS })
  return elements.map((element) =>
    Buffer.isBuffer(element) ? element : Buffer.from(element.buffer, element.byteOffset, element.byteLength),
  )
}

function checkRange(
  source: ArrayLike<number>,
  name: string,
  datatype: DataType,
  [least, most]: readonly [least: number, most: number],
): void {
  for (let i = 0; i < source.length; i++) {
    const value = source[i]!
    if (!(value >= least && value <= most))
      throw TensorErrors.CONTENTS_INVALID({
        tensor: name,
        datatype,
        problem: `takes numbers from ${least} to ${most}, but element ${i} is ${value}`,
      })
  }
}
