// Floor 1. Model file formats: ONNX's messages, and tree ensembles of other libraries (XGBoost, LightGBM) read, evaluated as
// those libraries do and written as ONNX. Pure functions on bytes: nothing here touches files or runs a model. Import it where
// models are loaded or converted only: ONNX's messages take 60 ms to import.

export type { ConvertedModel, ModelConverter, NativeFormat } from './converted.js'
export {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  type TypeProto,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './generated/onnx_pb.js'
export type { TreeEnsemble } from './trees/ensemble.js'
export { type Evaluation, evaluateRow } from './trees/evaluate.js'
export { FormatFailure, type FormatFailures } from './trees/failure.js'
export { readTrees } from './trees/read.js'
export { stepsOf } from './trees/steps.js'
export { writeOnnx } from './trees/write-onnx.js'
