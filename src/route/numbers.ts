// Numeric tensors as doubles and back, whatever their datatype holds them in.
import {
  allocate,
  bfloat16ToNumber,
  type DataType,
  float16ToNumber,
  numberToBfloat16,
  numberToFloat16,
  type Tensor,
  type TensorData,
} from '../tensor/index.js'

export function isFloat(datatype: DataType): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16' || datatype === 'BF16'
}

/** The element at `index` of a tensor of floats. */
export function floatAt({ datatype, data }: Tensor, index: number): number {
  const value = data[index] as number
  return datatype === 'FP16' ? float16ToNumber(value) : datatype === 'BF16' ? bfloat16ToNumber(value) : value
}

export function floatsOf(datatype: DataType, values: Float64Array): TensorData {
  if (datatype === 'FP64') return values
  const data = allocate(datatype, values.length) as Uint16Array | Float32Array
  const encode = datatype === 'FP16' ? numberToFloat16 : datatype === 'BF16' ? numberToBfloat16 : undefined
  for (let i = 0; i < values.length; i++) data[i] = encode ? encode(values[i]!) : values[i]!
  return data
}
