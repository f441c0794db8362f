// What the library that trained an ensemble answers, computed as its own code does, without any library: the reference that a
// converted model is compared with before it is published.
import { type Link, MISSING_NAN, MISSING_ZERO, type Tree, type TreeEnsemble } from './ensemble.js'

/** LightGBM's kZeroThreshold. */
export const LIGHTGBM_ZERO = Math.fround(1e-35)

export interface Evaluation {
  /** Before the link, one for each output. */
  readonly margins: Float64Array
  /** After it: what the library's predict gives, except that `sign` gives margins. */
  readonly values: Float64Array
}

/** `row` has a value for each feature, NaN where it is missing. */
export function evaluateRow(ensemble: TreeEnsemble, row: Float32Array): Evaluation {
  const margins = Float64Array.from(ensemble.base)
  const goesLeft = ensemble.rules === 'xgboost' ? xgboostGoesLeft : lightgbmGoesLeft
  for (const tree of ensemble.trees) margins[tree.output]! += leafOf(tree, row, goesLeft)
  return { margins, values: applyLink(ensemble.link, margins) }
}

function leafOf(
  tree: Tree,
  row: Float32Array,
  goesLeft: (tree: Tree, split: number, value: number) => boolean,
): number {
  if (tree.feature.length === 0) return tree.leaves[0]!
  let at = 0
  while (at >= 0) at = goesLeft(tree, at, row[tree.feature[at]!]!) ? tree.left[at]! : tree.right[at]!
  return tree.leaves[~at]!
}

/** include/xgboost/tree_model.h and src/common/categorical.h. */
function xgboostGoesLeft(tree: Tree, split: number, value: number): boolean {
  if (Number.isNaN(value)) return tree.defaultLeft[split] === 1
  const set = tree.categories.get(split)
  if (!set) return value < tree.threshold[split]!
  if (value < 0 || value >= 2 ** 24) return true
  return !set.includes(Math.trunc(value))
}

/** include/LightGBM/tree.h: NumericalDecision and CategoricalDecision. */
function lightgbmGoesLeft(tree: Tree, split: number, given: number): boolean {
  const set = tree.categories.get(split)
  if (set) {
    // The cast to int gives INT_MIN for what does not fit, which is negative.
    const category = given > -1 && given < 2 ** 31 ? Math.trunc(given) : -1
    return set.includes(category)
  }
  const missing = tree.missing[split]!
  // Rows reach the trees without their zeros, and this is what counts as one (src/c_api.cpp: RowPairFunctionFromDenseMatric).
  const isZero = Math.abs(given) <= LIGHTGBM_ZERO || (Number.isNaN(given) && missing !== MISSING_NAN)
  const value = isZero ? 0 : given
  if (Number.isNaN(value) || (isZero && missing === MISSING_ZERO)) return tree.defaultLeft[split] === 1
  return value <= tree.threshold[split]!
}

function applyLink(link: Link, margins: Float64Array): Float64Array {
  switch (link.kind) {
    case 'identity':
      return margins
    case 'sigmoid':
      return margins.map((margin) => 1 / (1 + Math.exp(-link.scale * margin)))
    case 'softmax': {
      const largest = Math.max(...margins)
      const powers = margins.map((margin) => Math.exp(margin - largest))
      const sum = powers.reduce((total, power) => total + power, 0)
      return powers.map((power) => power / sum)
    }
    case 'exp':
      return margins.map(Math.exp)
    case 'softplus':
      return margins.map((margin) => Math.max(margin, 0) + Math.log1p(Math.exp(-Math.abs(margin))))
    case 'signedSquare':
      return margins.map((margin) => Math.sign(margin) * margin * margin)
  }
}
