// Tensors as the JSON a payload holds, for when there is no raw text or values must be left out. It differs from the wire's
// JSON on purpose: NaN and infinities are strings, because a stored line has to parse everywhere.
import { isUtf8 } from 'node:buffer'
import {
  bfloat16ToNumber,
  type DataType,
  elementCount,
  float16ToNumber,
  type Tensor,
  type TensorMap,
} from '../tensor/index.js'
import { quote } from './json-text.js'

/** Upper estimate of one element's JSON with its comma; BYTES are measured. */
const ELEMENT_TEXT_BYTES: { readonly [D in DataType]: number } = {
  BOOL: 6,
  UINT8: 4,
  UINT16: 6,
  UINT32: 11,
  UINT64: 21,
  INT8: 5,
  INT16: 7,
  INT32: 12,
  INT64: 21,
  FP16: 20,
  BF16: 20,
  FP32: 20,
  FP64: 24,
  BYTES: 0,
}

/** An estimate on the high side of what encoding would give, without encoding. */
export function estimateBytes(tensors: TensorMap): number {
  let bytes = 2
  for (const tensor of tensors.values()) {
    bytes += 64 + tensor.name.length + elementCount(tensor.shape) * ELEMENT_TEXT_BYTES[tensor.datatype]
    if (tensor.datatype !== 'BYTES') continue
    for (const element of tensor.data as Buffer[]) bytes += element.length + 3
  }
  return bytes
}

const NOTHING: readonly string[] = []

/**
 * A JSON array of Open Inference Protocol tensors. Elements of inputs named in `redact`, and columns of a matrix whose
 * name in `features` is there, become null.
 */
export function encodeTensors(
  tensors: TensorMap,
  redact: readonly string[] = NOTHING,
  features: readonly string[] = NOTHING,
): string {
  let text = ''
  for (const tensor of tensors.values()) {
    const hidden = redact.length === 0 ? undefined : hiddenColumns(tensor, redact, features)
    text += `${text === '' ? '' : ','}{"name":${quote(tensor.name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(',')}],"data":[${encodeElements(tensor, hidden)}]}`
  }
  return `[${text}]`
}

/** Which columns to hide, one flag repeated over all elements when it is the whole tensor; undefined for none. */
function hiddenColumns(tensor: Tensor, redact: readonly string[], features: readonly string[]): boolean[] | undefined {
  if (redact.includes(tensor.name)) return [true]
  if (tensor.shape.length !== 2 || tensor.shape[1] !== features.length) return undefined
  const hidden = features.map((feature) => redact.includes(feature))
  return hidden.includes(true) ? hidden : undefined
}

function encodeElements(tensor: Tensor, hidden: boolean[] | undefined): string {
  const { data } = tensor
  const encode = ENCODERS[tensor.datatype] as (data: ArrayLike<unknown>, i: number) => string
  let text = ''
  for (let i = 0; i < data.length; i++) {
    const element = hidden?.[i % hidden.length] ? 'null' : encode(data, i)
    text = i === 0 ? element : `${text},${element}`
  }
  return text
}

const float = (value: number): string => (Number.isFinite(value) ? String(value) : `"${value}"`)
const number = (data: ArrayLike<number>, i: number): string => String(data[i])
const floatAt = (data: ArrayLike<number>, i: number): string => float(data[i]!)
const bigint = (data: ArrayLike<bigint>, i: number): string => String(data[i])

const ENCODERS: { readonly [D in DataType]: (data: never, i: number) => string } = {
  BOOL: (data: Uint8Array, i: number) => (data[i] === 0 ? 'false' : 'true'),
  UINT8: number,
  UINT16: number,
  UINT32: number,
  UINT64: bigint,
  INT8: number,
  INT16: number,
  INT32: number,
  INT64: bigint,
  FP16: (data: Uint16Array, i: number) => float(float16ToNumber(data[i]!)),
  BF16: (data: Uint16Array, i: number) => float(bfloat16ToNumber(data[i]!)),
  FP32: floatAt,
  FP64: floatAt,
  BYTES: (data: Buffer[], i: number) => {
    const bytes = data[i]!
    return isUtf8(bytes) ? quote(bytes.toString('utf8')) : `{"b64":"${bytes.toString('base64')}"}`
  },
}
