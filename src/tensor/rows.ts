// Rows of named features to tensors, and output tensors to named values.
import type { FeatureRow } from './manifest.js'
import type { NamedOutputs, RowSchema } from './row-schema.js'
import type { TensorMap } from './tensor.js'

/** Throws TENSOR_FEATURE_MISSING, TENSOR_FEATURE_UNKNOWN, TENSOR_FEATURE_TYPE. */
export declare function rowsToTensors(rows: readonly FeatureRow[], schema: RowSchema): TensorMap
export declare function tensorsToNamedOutputs(outputs: TensorMap, row: number, schema: RowSchema): NamedOutputs
