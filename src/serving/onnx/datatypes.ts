// ONNX's element types, the protocol's datatypes and the runtime's tensor types: which is which.
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import type { DataType } from '../../tensor/index.js'

/** By number of TensorProto.DataType; the others (complex, 4 and 8 bit floats, …) have no datatype in the protocol. */
const DATATYPE_OF: Readonly<Record<number, DataType>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
}

const OTHER_NAMES: Readonly<Record<number, string>> = {
  0: 'undefined',
  14: 'complex64',
  15: 'complex128',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
}

export const ONNX_FLOAT = 1
export const ONNX_BFLOAT16 = 16

export function datatypeOf(elementType: number): DataType | undefined {
  return DATATYPE_OF[elementType]
}

export function elementTypeName(elementType: number): string {
  return datatypeOf(elementType) ?? OTHER_NAMES[elementType] ?? `number ${elementType}`
}

/** How each datatype crosses into the runtime. The Node binding has no bfloat16, so those graphs get casts at their boundary. */
export const ORT_TYPE: { readonly [D in DataType]: OrtTensor.Type } = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: 'float32',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
}
