// The Node binding of ONNX Runtime refuses bfloat16 inputs and outputs. They become float32 at the boundary of the graph,
// with a Cast behind each input and before each output; every bfloat16 is exactly a float32, so nothing is rounded there.
import { create, toBinary } from '@bufbuild/protobuf'
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  type ValueInfoProto,
} from '../../formats/index.js'
import { ONNX_BFLOAT16, ONNX_FLOAT } from './datatypes.js'
import type { GraphValue, GraphValues } from './read-graph.js'

/**
 * Rewrites `graph` in place and returns its values with the names the session now has for them. Values inside keep their
 * names, because a subgraph may refer to them from anywhere. Returns `values` itself when nothing had to change.
 */
export function castBf16(graph: GraphProto, values: GraphValues): GraphValues {
  const before: NodeProto[] = []
  const after: NodeProto[] = []
  const inputs = values.inputs.map((value) => {
    if (value.datatype !== 'BF16') return value
    const outside = rename(graph.input, value, `${value.name}:input-as-fp32`)
    before.push(cast(outside.sessionName, value.name, ONNX_BFLOAT16))
    return outside
  })
  const outputs = values.outputs.map((value) => {
    if (value.datatype !== 'BF16') return value
    const outside = rename(graph.output, value, `${value.name}:output-as-fp32`)
    after.push(cast(value.name, outside.sessionName, ONNX_FLOAT))
    return outside
  })
  if (before.length + after.length === 0) return values
  graph.node = [...before, ...graph.node, ...after]
  return { inputs, outputs }
}

function rename(side: readonly ValueInfoProto[], value: GraphValue, sessionName: string): GraphValue {
  for (const info of side) {
    const type = info.type?.value
    if (info.name !== value.name || type?.case !== 'tensorType') continue
    info.name = sessionName
    type.value.elemType = ONNX_FLOAT
  }
  return { ...value, sessionName }
}

function cast(from: string, to: string, elementType: number): NodeProto {
  const attribute = create(AttributeProtoSchema, { name: 'to', type: AttributeType.INT, i: BigInt(elementType) })
  return create(NodeProtoSchema, {
    opType: 'Cast',
    name: `headrace:${to}`,
    input: [from],
    output: [to],
    attribute: [toBinary(AttributeProtoSchema, attribute)],
  })
}
