// Datatypes as numbers, in keys and in answers that servers share: a number never changes its meaning.
import type { DataType } from '../../tensor/index.js'

export const DATATYPE_CODES: { readonly [D in DataType]: number } = {
  BOOL: 1,
  UINT8: 2,
  UINT16: 3,
  UINT32: 4,
  UINT64: 5,
  INT8: 6,
  INT16: 7,
  INT32: 8,
  INT64: 9,
  FP16: 10,
  BF16: 11,
  FP32: 12,
  FP64: 13,
  BYTES: 14,
}
