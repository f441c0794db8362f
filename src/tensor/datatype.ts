// The Open Inference Protocol's datatypes and how each is held in memory.

export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
] as const

export type DataType = (typeof DATATYPES)[number]

/** Row-major elements. BOOL is 0 or 1; FP16 and BF16 are raw bit patterns; BYTES are Buffers (UTF-8 text or any bytes). */
export interface DataOf {
  BOOL: Uint8Array
  UINT8: Uint8Array
  UINT16: Uint16Array
  UINT32: Uint32Array
  UINT64: BigUint64Array
  INT8: Int8Array
  INT16: Int16Array
  INT32: Int32Array
  INT64: BigInt64Array
  FP16: Uint16Array
  BF16: Uint16Array
  FP32: Float32Array
  FP64: Float64Array
  BYTES: Buffer[]
}

export type TensorData = DataOf[DataType]

/** Bytes per element; BYTES, whose elements differ in size, is 0. */
export const ELEMENT_BYTES: { readonly [D in DataType]: number } = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: 0,
}

const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const

export function isDataType(text: unknown): text is DataType {
  return typeof text === 'string' && (DATATYPES as readonly string[]).includes(text)
}

const BY_NAME = new Map<string, DataType>(DATATYPES.map((datatype) => [datatype, datatype]))

/** The datatype of that name, as the one string the engine compares by address; undefined when there is none. */
export function datatypeNamed(name: string): DataType | undefined {
  return BY_NAME.get(name)
}

/** Zeroed storage for `length` elements; BYTES starts as empty Buffers. */
export function allocate<D extends DataType>(datatype: D, length: number): DataOf[D] {
  if (datatype === 'BYTES') return new Array<Buffer>(length).fill(EMPTY) as DataOf[D]
  return new ARRAYS[datatype as Exclude<DataType, 'BYTES'>](length) as DataOf[D]
}

/** The elements that `bytes` hold, on the same memory; they must be aligned to the datatype's size, and there are none of BYTES. */
export function viewData(datatype: Exclude<DataType, 'BYTES'>, bytes: Uint8Array, length: number): TensorData {
  return new ARRAYS[datatype](bytes.buffer as ArrayBuffer, bytes.byteOffset, length)
}

/** Up to this many bytes a parsed tensor takes its storage from Node's shared pool: an ArrayBuffer of its own costs 0.5 µs and more at collection. */
const POOLED_BYTES = 1024

/**
 * Storage whose every element the caller sets at once: not zeroed, and a part of memory shared with others when it is small. It
 * must not be transferred to another thread.
 */
export function allocateUnset<D extends DataType>(datatype: D, length: number): DataOf[D] {
  const sizeBytes = ELEMENT_BYTES[datatype] * length
  if (sizeBytes === 0 || sizeBytes > POOLED_BYTES) return allocate(datatype, length)
  const { buffer, byteOffset } = Buffer.allocUnsafe(sizeBytes)
  return new ARRAYS[datatype as Exclude<DataType, 'BYTES'>](buffer as ArrayBuffer, byteOffset, length) as DataOf[D]
}

/** Shared: an empty Buffer of its own costs an ArrayBuffer of its own. */
export const EMPTY = Buffer.alloc(0)
