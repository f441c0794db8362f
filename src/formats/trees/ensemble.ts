// A tree ensemble as it was trained, whichever library trained it: the splits keep that library's own rules, which the evaluator
// follows literally and the writer of ONNX turns into comparisons. Checked once when it is made; everything after trusts it.
import { expectAtMost, unreadable } from './failure.js'

/**
 * How a value that is there is compared. `xgboost`: in float32, left when below the threshold; a category in the set goes right, and
 * one that is negative or unknown left. `lightgbm`: left when at most the threshold; a category in the set goes left, what is
 * negative, unknown or missing right.
 */
export type SplitRules = 'xgboost' | 'lightgbm'

/** What stands for a missing value: nothing (NaN then counts as 0), zero as well as NaN, or NaN. */
export const MISSING_NONE = 0
export const MISSING_ZERO = 1
export const MISSING_NAN = 2

/** Parallel arrays, one element per split; a tree of one leaf has no splits. */
export interface Tree {
  /** Which of the row's margins it adds to. */
  readonly output: number
  readonly feature: Int32Array
  /** A split's number, or `~leaf`. */
  readonly left: Int32Array
  readonly right: Int32Array
  /** Of splits by number. */
  readonly threshold: Float64Array
  /** 1: what is missing goes left. */
  readonly defaultLeft: Uint8Array
  readonly missing: Uint8Array
  /** Of splits by category: ascending, without repetition. */
  readonly categories: ReadonlyMap<number, Int32Array>
  readonly leaves: Float64Array
}

/** From a row's margins to what is answered. */
export type Link =
  | { readonly kind: 'identity' }
  /** 1 / (1 + exp(-scale × margin)) */
  | { readonly kind: 'sigmoid'; readonly scale: number }
  | { readonly kind: 'softmax' }
  | { readonly kind: 'exp' }
  /** log(1 + exp(margin)) */
  | { readonly kind: 'softplus' }
  /** sign(margin) × margin² */
  | { readonly kind: 'signedSquare' }

export interface TreeEnsemble {
  readonly rules: SplitRules
  /** Of the library that wrote the file, as far as the file says. */
  readonly libraryVersion: string
  readonly objective: string
  readonly featureCount: number
  /** Undefined when the file names none. */
  readonly featureNames: readonly string[] | undefined
  readonly trees: readonly Tree[]
  /** Added to each margin; its length is the number of margins. */
  readonly base: Float64Array
  readonly link: Link
  /**
   * `value`: the numbers as they are. `binary`: one margin, the probability of class 1. `classes`: a margin for each class.
   * `sign`: class 1 where the margin is above 0.
   */
  readonly task: 'value' | 'binary' | 'classes' | 'sign'
  /** What the person who pushes it should know. */
  readonly notices: readonly string[]
}

export const MAX_TREES = 100_000
export const MAX_SPLITS = 5_000_000
/** ONNX Runtime builds trees by recursion. */
export const MAX_DEPTH = 2048
export const MAX_FEATURES = 1_000_000
export const MAX_OUTPUTS = 10_000

/** Throws UNREADABLE and TOO_LARGE for anything that would make a reader of `ensemble` fail or go round in circles. */
export function checkEnsemble(ensemble: TreeEnsemble): TreeEnsemble {
  const { trees, featureCount, base, featureNames } = ensemble
  expectAtMost('trees', MAX_TREES, trees.length)
  expectAtMost('features', MAX_FEATURES, featureCount)
  expectAtMost('outputs', MAX_OUTPUTS, base.length)
  if (featureCount === 0) throw unreadable('it has no features')
  if (featureNames && featureNames.length !== featureCount) {
    throw unreadable(`it names ${featureNames.length} features and has ${featureCount}`)
  }
  if (!base.every(Number.isFinite)) throw unreadable('its base score is no number')
  let splits = 0
  for (const [index, tree] of trees.entries()) {
    splits += tree.feature.length
    expectAtMost('splits', MAX_SPLITS, splits)
    checkTree(tree, `tree ${index}`, ensemble)
  }
  return ensemble
}

function checkTree(tree: Tree, name: string, { featureCount, base }: TreeEnsemble): void {
  const { feature, left, right, threshold, defaultLeft, missing, categories, leaves, output } = tree
  const count = feature.length
  for (const other of [left, right, threshold, defaultLeft, missing]) {
    if (other.length !== count) throw unreadable(`${name} has ${count} splits and ${other.length} values for them`)
  }
  if (!(output >= 0 && output < base.length)) throw unreadable(`${name} belongs to output ${output}`)
  if (leaves.length === 0) throw unreadable(`${name} has no leaves`)
  if (!leaves.every(Number.isFinite)) throw unreadable(`${name} has a leaf that is no number`)
  for (let split = 0; split < count; split++) {
    const column = feature[split]!
    if (!(column >= 0 && column < featureCount)) {
      throw unreadable(`${name} splits by feature ${column}, and there are ${featureCount}`)
    }
    if (!categories.has(split) && Number.isNaN(threshold[split])) {
      throw unreadable(`${name} has a threshold that is no number`)
    }
  }
  checkLinks(tree, name)
}

/** Every split is reached from the root at most once, so there is no way in circles. */
function checkLinks({ feature, left, right, leaves }: Tree, name: string): void {
  if (feature.length === 0) return
  const depths = new Int32Array(feature.length)
  const open = [0]
  depths[0] = 1
  for (let split = open.pop(); split !== undefined; split = open.pop()) {
    for (const child of [left[split]!, right[split]!]) {
      if (child < 0) {
        if (~child >= leaves.length) throw unreadable(`${name} points at leaf ${~child}, and it has ${leaves.length}`)
        continue
      }
      if (child >= feature.length) throw unreadable(`${name} points at node ${child}, and it has ${feature.length}`)
      if (depths[child] !== 0) throw unreadable(`${name} reaches node ${child} in two ways`)
      depths[child] = depths[split]! + 1
      expectAtMost('levels of a tree', MAX_DEPTH, depths[child]!)
      open.push(child)
    }
  }
}
