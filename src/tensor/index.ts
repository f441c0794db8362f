// Floor 1. Datatypes, tensors, signatures, and the codecs between tensors, rows of named features and JSON.
// A tensor is a name, a datatype, a shape and row-major data; everything a model eats or returns is one.
// What knows a protocol lives in the faces; what runs a model lives in serving.

export { canConcatenate, concatenateRows, RowsInPieces, sliceRows } from './batch.js'
export { binarySizeBytes, binaryTensor, readBinaryTensor, writeBinaryTensor } from './binary.js'
export { BINARY_INLINE_BYTES, binaryTensorInTurns, readBinaryTensorInTurns } from './binary-in-turns.js'
export { ColumnBuilder, type Columns, type OpenRows, tensorColumn } from './columns.js'
export { copyData } from './copy.js'
export {
  allocate,
  DATATYPES,
  type DataOf,
  type DataType,
  datatypeNamed,
  ELEMENT_BYTES,
  isDataType,
  type TensorData,
} from './datatype.js'
export type { PipelineModel, PipelineStep, RemoteModel, TensorSource } from './described.js'
export { MAX_DIMENSIONS, shapeText, TensorErrors } from './errors.js'
export { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from './half.js'
export { Byte, type JsonDialect, JsonReader, type JsonValue } from './json-reader.js'
export { decodeBase64, inferShape, MAX_STRINGS, readTensorData, type TensorDataOptions } from './json-scan.js'
export {
  dataToJson,
  elementToJson,
  estimateJsonBytes,
  isStrictJson,
  quoteJson,
  tensorToJson,
  writeTensorJson,
} from './json-write.js'
export type {
  BatchingOptions,
  ConvertedFrom,
  ExecutionProvider,
  FeatureRow,
  Isolation,
  ModelManifest,
  OutputMeaning,
  PaddingRules,
  VersionArtifact,
} from './manifest.js'
export { type NamedOutputs, type NamedValue, tensorsToNamedOutputs } from './named-outputs.js'
export {
  describeFeatures,
  describeRows,
  type FeatureSpec,
  type FeatureType,
  type OutputSpec,
  type RowSchema,
} from './row-schema.js'
export { type FeatureValue, RowBuilder, rowsToTensors } from './rows.js'
export { checkedCount } from './shape.js'
export { elementCount, type Signature, type Tensor, type TensorMap, type TensorSpec } from './tensor.js'
export { TextBuffer } from './text-buffer.js'
export { readTypedContents, type TypedContents, typedContents } from './typed-contents.js'
export { tensorMap, validateInputs, validateOutputNames } from './validate.js'
