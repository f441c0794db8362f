// scikit-learn's and LightGBM's exporters end a classifier with a ZipMap, which turns the matrix of probabilities into one
// dictionary per row. Dictionaries cannot be batched or sent, so the matrix itself becomes the output, under the same name.
import { create, fromBinary } from '@bufbuild/protobuf'
import {
  AttributeProtoSchema,
  type ModelProto,
  type NodeProto,
  OperatorSetIdProtoSchema,
  TypeProtoSchema,
} from '../../formats/index.js'
import { ONNX_FLOAT } from './datatypes.js'

export interface StrippedZipMap {
  readonly output: string
  /** Class labels in the order of the columns, as text. */
  readonly labels: readonly string[]
}

/** Rewrites `model` in place; returns what was stripped, or undefined when no output comes from a ZipMap. */
export function stripZipMap(model: ModelProto): StrippedZipMap | undefined {
  const graph = model.graph
  if (!graph) return undefined
  let stripped: StrippedZipMap | undefined
  for (const node of graph.node) {
    if (node.opType !== 'ZipMap' || node.domain !== 'ai.onnx.ml') continue
    const output = graph.output.find((value) => value.name === node.output[0])
    if (!output) continue
    const labels = classLabels(node)
    toIdentity(node, model)
    // No shape: the runtime infers the one that is true.
    output.type = create(TypeProtoSchema, { value: { case: 'tensorType', value: { elemType: ONNX_FLOAT } } })
    stripped ??= { output: output.name, labels }
  }
  return stripped
}

/** An Identity keeps the output's name even when other nodes, or another output, use the matrix too. */
function toIdentity(node: NodeProto, model: ModelProto): void {
  node.opType = 'Identity'
  node.domain = ''
  node.attribute = []
  const hasStandardOperators = model.opsetImport.some(({ domain }) => domain === '' || domain === 'ai.onnx')
  if (!hasStandardOperators) {
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: '', version: OPSET_OF_EVERY_IDENTITY }))
  }
}

// Identity has not changed for tensors since opset 1; ONNX Runtime supports 7 and later.
const OPSET_OF_EVERY_IDENTITY = 9n

function classLabels(node: NodeProto): string[] {
  for (const bytes of node.attribute) {
    const attribute = fromBinary(AttributeProtoSchema, bytes)
    if (attribute.name === 'classlabels_int64s') return attribute.ints.map(String)
    if (attribute.name === 'classlabels_strings') return attribute.strings.map((text) => Buffer.from(text).toString())
  }
  return []
}
