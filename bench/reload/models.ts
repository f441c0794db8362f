// The models that are loaded again and again.
import { seededRandom } from '../../src/core/index.js'
import { attribute, buildModel, node, value } from '../../test/support/onnx-models.js'

export { mlpModel } from '../../test/support/onnx-models.js'

export interface TreesOptions {
  readonly features: number
  readonly trees: number
  readonly depth: number
  readonly seed: number
}

/** An ensemble of complete trees: x [rows, features] to y [rows, 1]. */
export function treesModel({ features, trees, depth, seed }: TreesOptions): Uint8Array {
  const random = seededRandom(seed)
  const columns = { tree: [] as number[], node: [] as number[], feature: [] as number[], value: [] as number[] }
  const modes: string[] = []
  const yes: number[] = []
  const no: number[] = []
  const leaves = { tree: [] as number[], node: [] as number[], weight: [] as number[] }
  const inner = 2 ** depth - 1
  for (let tree = 0; tree < trees; tree++) {
    for (let i = 0; i < 2 * inner + 1; i++) {
      const isLeaf = i >= inner
      columns.tree.push(tree)
      columns.node.push(i)
      columns.feature.push(isLeaf ? 0 : Math.floor(random.next() * features))
      columns.value.push(isLeaf ? 0 : random.next())
      modes.push(isLeaf ? 'LEAF' : 'BRANCH_LEQ')
      yes.push(isLeaf ? 0 : 2 * i + 1)
      no.push(isLeaf ? 0 : 2 * i + 2)
      if (!isLeaf) continue
      leaves.tree.push(tree)
      leaves.node.push(i)
      leaves.weight.push(random.next())
    }
  }
  const attributes = [
    attribute.int('n_targets', 1),
    attribute.ints('nodes_treeids', columns.tree),
    attribute.ints('nodes_nodeids', columns.node),
    attribute.ints('nodes_featureids', columns.feature),
    attribute.floats('nodes_values', columns.value),
    attribute.strings('nodes_modes', modes),
    attribute.ints('nodes_truenodeids', yes),
    attribute.ints('nodes_falsenodeids', no),
    attribute.ints('target_treeids', leaves.tree),
    attribute.ints('target_nodeids', leaves.node),
    attribute.ints(
      'target_ids',
      leaves.tree.map(() => 0),
    ),
    attribute.floats('target_weights', leaves.weight),
  ]
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', features])],
    outputs: [value('y', 'FP32', ['rows', 1])],
    nodes: [node('TreeEnsembleRegressor', ['x'], ['y'], attributes, 'ai.onnx.ml')],
  })
}
