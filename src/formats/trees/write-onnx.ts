// A tree ensemble as an ONNX model: one TreeEnsembleRegressor for the margins, and standard operators for what is made of them.
// Version 3 of ai.onnx.ml and not the newer TreeEnsemble, because ONNX Runtime lets its nodes share a branch: a split into many
// categories is a chain of comparisons that all lead to the same two branches.
import { create, toBinary } from '@bufbuild/protobuf'
import {
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorProto_DataType as TensorType,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../generated/onnx_pb.js'
import { floatsAttribute, intAttribute, intsAttribute, pickedTextsAttribute, textAttribute } from './attributes.js'
import type { Tree, TreeEnsemble } from './ensemble.js'
import { MAX_DEPTH } from './ensemble.js'
import { expectAtMost } from './failure.js'
import { stepsOf } from './steps.js'

const OPSET = 17n
const ML_OPSET = 3n
/** The first that knows opset 17. */
const IR_VERSION = 8n

export interface WriteOptions {
  /** Kept in the model's metadata: where it came from. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The input is `features`, FP32 [rows, features]; the outputs are `value`, or `label` and `probabilities`. */
export function writeOnnx(ensemble: TreeEnsemble, { metadata }: WriteOptions): Uint8Array {
  const { outputs, nodes, initializers } = answers(ensemble)
  const model: ModelProto = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: 'headrace',
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'ai.onnx.ml', version: ML_OPSET },
    ],
    graph: {
      name: ensemble.rules,
      input: [tensorValue('features', TensorType.FLOAT, ['rows', ensemble.featureCount])],
      output: outputs,
      node: [marginsNode(ensemble), ...nodes],
      initializer: initializers,
    },
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  })
  return toBinary(ModelProtoSchema, model)
}

interface Answers {
  readonly outputs: ValueInfoProto[]
  readonly nodes: NodeProto[]
  readonly initializers: TensorProto[]
}

/** From `margins` [rows, outputs] to the outputs. */
function answers({ task, link, base }: TreeEnsemble): Answers {
  const count = base.length
  const classes = task === 'binary' ? 2 : count
  const label = tensorValue('label', TensorType.INT64, ['rows'])
  const probabilities = tensorValue('probabilities', TensorType.FLOAT, ['rows', classes])
  const linked = linkNodes(link, 'linked')
  switch (task) {
    case 'value': {
      const value = tensorValue('value', TensorType.FLOAT, count === 1 ? ['rows'] : ['rows', count])
      const last = count === 1 ? node('Reshape', ['linked', 'all'], 'value') : node('Identity', ['linked'], 'value')
      return {
        outputs: [value],
        nodes: [...linked.nodes, last],
        initializers: [...linked.initializers, ...(count === 1 ? [wholes('all', [-1])] : [])],
      }
    }
    case 'binary':
      return {
        outputs: [label, probabilities],
        nodes: [
          ...linked.nodes,
          node('Sub', ['one', 'linked'], 'other'),
          node('Concat', ['other', 'linked'], 'probabilities', [intAttribute('axis', 1)]),
          node('Greater', ['linked', 'half'], 'is_one'),
          node('Cast', ['is_one'], 'label_column', [intAttribute('to', TensorType.INT64)]),
          node('Reshape', ['label_column', 'all'], 'label'),
        ],
        initializers: [...linked.initializers, number('one', 1), number('half', 0.5), wholes('all', [-1])],
      }
    case 'classes':
      return {
        outputs: [label, probabilities],
        nodes: [
          ...linked.nodes,
          node('Identity', ['linked'], 'probabilities'),
          node('ArgMax', ['margins'], 'label', [intAttribute('axis', 1), intAttribute('keepdims', 0)]),
        ],
        initializers: [...linked.initializers],
      }
    case 'sign':
      return {
        outputs: [tensorValue('label', TensorType.INT64, count === 1 ? ['rows'] : ['rows', count])],
        nodes: [
          node('Greater', ['margins', 'zero'], 'is_one'),
          node('Cast', ['is_one'], 'labels', [intAttribute('to', TensorType.INT64)]),
          count === 1 ? node('Reshape', ['labels', 'all'], 'label') : node('Identity', ['labels'], 'label'),
        ],
        initializers: [number('zero', 0), ...(count === 1 ? [wholes('all', [-1])] : [])],
      }
  }
}

/** From `margins` to `output`. */
function linkNodes(link: TreeEnsemble['link'], output: string): Pick<Answers, 'nodes' | 'initializers'> {
  switch (link.kind) {
    case 'identity':
      return { nodes: [node('Identity', ['margins'], output)], initializers: [] }
    case 'sigmoid':
      if (link.scale === 1) return { nodes: [node('Sigmoid', ['margins'], output)], initializers: [] }
      return {
        nodes: [node('Mul', ['margins', 'scale'], 'scaled'), node('Sigmoid', ['scaled'], output)],
        initializers: [number('scale', link.scale)],
      }
    case 'softmax':
      return { nodes: [node('Softmax', ['margins'], output, [intAttribute('axis', 1)])], initializers: [] }
    case 'exp':
      return { nodes: [node('Exp', ['margins'], output)], initializers: [] }
    case 'softplus':
      return { nodes: [node('Softplus', ['margins'], output)], initializers: [] }
    case 'signedSquare':
      return { nodes: [node('Abs', ['margins'], 'size'), node('Mul', ['margins', 'size'], output)], initializers: [] }
  }
}

/** The columns of the operator's attributes; one element per node of any tree. */
interface Columns {
  readonly trees: number[]
  readonly nodes: number[]
  readonly features: number[]
  readonly values: number[]
  readonly isLeaf: boolean[]
  readonly trues: number[]
  readonly falses: number[]
  readonly missingTrue: number[]
  readonly leafTrees: number[]
  readonly leafNodes: number[]
  readonly leafOutputs: number[]
  readonly leafValues: number[]
}

function marginsNode(ensemble: TreeEnsemble): NodeProto {
  const columns: Columns = {
    trees: [],
    nodes: [],
    features: [],
    values: [],
    isLeaf: [],
    trues: [],
    falses: [],
    missingTrue: [],
    leafTrees: [],
    leafNodes: [],
    leafOutputs: [],
    leafValues: [],
  }
  const mode = ensemble.rules === 'xgboost' ? 'BRANCH_LT' : 'BRANCH_LEQ'
  for (const [i, tree] of ensemble.trees.entries()) addTree(columns, tree, i, ensemble)
  // The operator needs a tree.
  if (ensemble.trees.length === 0) addLeaf(columns, 0, 0, 0, 0)
  return node(
    'TreeEnsembleRegressor',
    ['features'],
    'margins',
    [
      intAttribute('n_targets', ensemble.base.length),
      textAttribute('aggregate_function', 'SUM'),
      floatsAttribute('base_values', ensemble.base),
      intsAttribute('nodes_treeids', columns.trees),
      intsAttribute('nodes_nodeids', columns.nodes),
      intsAttribute('nodes_featureids', columns.features),
      floatsAttribute('nodes_values', columns.values),
      pickedTextsAttribute('nodes_modes', [mode, 'LEAF'], columns.isLeaf),
      intsAttribute('nodes_truenodeids', columns.trues),
      intsAttribute('nodes_falsenodeids', columns.falses),
      intsAttribute('nodes_missing_value_tracks_true', columns.missingTrue),
      intsAttribute('target_treeids', columns.leafTrees),
      intsAttribute('target_nodeids', columns.leafNodes),
      intsAttribute('target_ids', columns.leafOutputs),
      floatsAttribute('target_weights', columns.leafValues),
    ],
    'ai.onnx.ml',
  )
}

/** Nodes are numbered as they are met. */
function addTree(columns: Columns, tree: Tree, index: number, { rules }: TreeEnsemble): void {
  const start = columns.trees.length
  const wanted: { child: number; depth: number; link: (id: number) => void }[] = [
    { child: tree.feature.length === 0 ? ~0 : 0, depth: 1, link: () => {} },
  ]
  for (let open = wanted.pop(); open !== undefined; open = wanted.pop()) {
    const { child, depth, link } = open
    expectAtMost('levels of a tree', MAX_DEPTH, depth)
    link(columns.trees.length - start)
    if (child < 0) {
      addLeaf(columns, index, columns.trees.length - start, tree.output, tree.leaves[~child]!)
      continue
    }
    const { bounds, startsLeft, missingGoesLeft } = stepsOf(tree, child, rules)
    const before = startsLeft ? tree.left[child]! : tree.right[child]!
    const after = startsLeft ? tree.right[child]! : tree.left[child]!
    const chain = chainOf(bounds, missingGoesLeft === startsLeft, rules === 'xgboost')
    const first = columns.trees.length
    for (let i = 0; i < chain.values.length; i++) {
      addSplit(
        columns,
        index,
        columns.trees.length - start,
        tree.feature[child]!,
        chain.values[i]!,
        i === chain.missingAt,
      )
      if (i > 0) columns.falses[first + i - 1] = first + i - start
    }
    const last = first + chain.values.length - 1
    const links = (wantsBefore: boolean) => (id: number) => {
      for (let i = 0; i < chain.values.length; i++) {
        if (chain.isBefore(i) === wantsBefore) columns.trues[first + i] = id
      }
      if (chain.isBefore(chain.values.length) === wantsBefore) columns.falses[last] = id
    }
    const endsBefore = chain.isBefore(chain.values.length)
    const below = depth + chain.values.length
    const isOneSided = chain.values.every((_, at) => chain.isBefore(at) === endsBefore)
    if (!isOneSided) wanted.push({ child: endsBefore ? after : before, depth: below, link: links(!endsBefore) })
    wanted.push({ child: endsBefore ? before : after, depth: below, link: links(endsBefore) })
  }
}

interface Chain {
  readonly values: readonly number[]
  /** The comparison whose true branch takes what is missing; -1: none, it falls through to the end. */
  readonly missingAt: number
  /** Whether the true branch of a comparison, or the end after the last one, is the side before the first bound. */
  isBefore(at: number): boolean
}

/** Comparisons one after the other; what none of them takes is left for the end. */
function chainOf(bounds: readonly number[], missingIsBefore: boolean, isBelow: boolean): Chain {
  const isEven = (at: number): boolean => at % 2 === 0
  if (bounds.length > 0) {
    const endsBefore = isEven(bounds.length)
    const missingAt = endsBefore === missingIsBefore ? -1 : missingIsBefore ? 0 : 1
    return { values: bounds, missingAt, isBefore: isEven }
  }
  // Everything that is there lies on the side "before". Nothing is below minus infinity, and all of it is at most infinity.
  if (isBelow) {
    return { values: [Number.NEGATIVE_INFINITY], missingAt: 0, isBefore: (at) => at === 1 || missingIsBefore }
  }
  return {
    values: [Number.POSITIVE_INFINITY],
    missingAt: missingIsBefore ? 0 : -1,
    isBefore: (at) => at === 0 || missingIsBefore,
  }
}

function addSplit(
  columns: Columns,
  tree: number,
  id: number,
  feature: number,
  value: number,
  missingIsTrue: boolean,
): void {
  columns.trees.push(tree)
  columns.nodes.push(id)
  columns.features.push(feature)
  columns.values.push(value)
  columns.isLeaf.push(false)
  columns.trues.push(0)
  columns.falses.push(0)
  columns.missingTrue.push(missingIsTrue ? 1 : 0)
}

function addLeaf(columns: Columns, tree: number, id: number, output: number, value: number): void {
  addSplit(columns, tree, id, 0, 0, false)
  columns.isLeaf[columns.isLeaf.length - 1] = true
  columns.leafTrees.push(tree)
  columns.leafNodes.push(id)
  columns.leafOutputs.push(output)
  columns.leafValues.push(value)
}

function node(
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly Uint8Array[] = [],
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    name: output,
    input: [...input],
    output: [output],
    attribute: [...attribute],
    domain,
  })
}

function tensorValue(name: string, elemType: TensorType, shape: readonly (string | number)[]): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'string'
        ? { case: 'dimParam' as const, value: size }
        : { case: 'dimValue' as const, value: BigInt(size) },
  }))
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  })
}

function number(name: string, value: number): TensorProto {
  const rawData = new Uint8Array(Float32Array.of(value).buffer)
  return create(TensorProtoSchema, { name, dims: [1n], dataType: TensorType.FLOAT, rawData })
}

function wholes(name: string, values: readonly number[]): TensorProto {
  const rawData = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer)
  return create(TensorProtoSchema, { name, dims: [BigInt(values.length)], dataType: TensorType.INT64, rawData })
}
