// Floor 1. Datatypes, tensors, signatures, and the codecs between tensors, rows of named features and JSON.
// A tensor is a name, a datatype, a shape and row-major data; everything a model eats or returns is one.
export { canConcatenate, concatenateRows, sliceRows } from './batch.js'
export {
  allocate,
  DATATYPES,
  type DataOf,
  type DataType,
  ELEMENT_BYTES,
  isDataType,
  type TensorData,
} from './datatype.js'
export { shapeText, TensorErrors } from './errors.js'
export type {
  BatchingOptions,
  FeatureRow,
  Isolation,
  ModelManifest,
  OutputMeaning,
  VersionArtifact,
} from './manifest.js'
export {
  describeFeatures,
  describeRows,
  type FeatureSpec,
  type FeatureType,
  type NamedOutputs,
  type NamedValue,
  type OutputSpec,
  type RowSchema,
} from './row-schema.js'
export { rowsToTensors, tensorsToNamedOutputs } from './rows.js'
export { elementCount, type Signature, type Tensor, type TensorMap, type TensorSpec } from './tensor.js'
export { tensorMap, validateInputs, validateOutputNames } from './validate.js'
