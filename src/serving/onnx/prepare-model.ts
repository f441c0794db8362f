// From a file's bytes to what a session is created from: the graph with nothing but tensors at its boundary that the Node
// binding takes, and what it says about itself. Runs in a thread: decoding 100 MB takes 10 ms, encoding it again 400 ms.
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { type GraphProto, type ModelProto, ModelProtoSchema } from '../../formats/index.js'
import { castBf16 } from './cast-bf16.js'
import { fail, reasonOf } from './failure.js'
import { externalFiles, type GraphValues, readGraph, whyNotBatched } from './read-graph.js'
import { type StrippedZipMap, stripZipMap } from './strip-zipmap.js'

export interface PreparedModel {
  /** The file's own bytes, or a rewritten copy. */
  readonly bytes: Uint8Array
  readonly values: GraphValues
  readonly labels: readonly string[] | undefined
  /** Undefined when the graph claims that rows can be joined. */
  readonly notBatchedBecause: string | undefined
  readonly externalFiles: readonly string[]
  /** Of the graph itself, without those of subgraphs. */
  readonly nodes: number
  /** How much of the file is tree ensembles, which take many times that in memory. */
  readonly treeBytes: number
}

/** Throws FILE_CORRUPT, NOT_A_TENSOR, DATATYPE_UNSUPPORTED, RANK_UNKNOWN. */
export function prepareModel(bytes: Uint8Array): PreparedModel {
  const model = decode(bytes)
  const graph = model.graph
  if (!graph) throw fail('FILE_CORRUPT', { reason: 'it holds no graph', sizeBytes: bytes.length })
  if (graph.output.length === 0) {
    throw fail('FILE_CORRUPT', { reason: 'its graph has no outputs', sizeBytes: bytes.length })
  }
  const zipMap = stripZipMap(model)
  const declared = readGraph(graph)
  const shaped = zipMap ? withClassCount(declared, zipMap) : declared
  const values = castBf16(graph, shaped)
  const isRewritten = zipMap !== undefined || values !== shaped
  return {
    bytes: isRewritten ? toBinary(ModelProtoSchema, model) : bytes,
    values,
    labels: zipMap?.labels,
    notBatchedBecause: whyNotBatched(values),
    externalFiles: externalFiles(graph),
    nodes: graph.node.length,
    treeBytes: treeBytes(graph),
  }
}

function decode(bytes: Uint8Array): ModelProto {
  if (bytes.length === 0) throw fail('FILE_CORRUPT', { reason: 'it is empty', sizeBytes: 0 })
  try {
    return fromBinary(ModelProtoSchema, bytes)
  } catch (error) {
    throw fail('FILE_CORRUPT', { reason: reasonOf(error), sizeBytes: bytes.length })
  }
}

/** A ZipMap's matrix is [rows, classes]; its own type said nothing of the sort. */
function withClassCount(values: GraphValues, { output, labels }: StrippedZipMap): GraphValues {
  const shape = [-1, labels.length]
  return {
    inputs: values.inputs,
    outputs: values.outputs.map((value) => (value.name === output ? { ...value, shape } : value)),
  }
}

function treeBytes(graph: GraphProto): number {
  let sum = 0
  for (const node of graph.node) {
    if (node.opType.startsWith('TreeEnsemble')) for (const attribute of node.attribute) sum += attribute.length
  }
  return sum
}
