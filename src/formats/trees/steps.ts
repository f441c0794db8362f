// A split as steps along the float32 number line. Inputs are float32, so whatever a library compares (a double, a category, what it
// takes for zero) comes down to the points where the answer changes. Steps are what ONNX's tree nodes can say exactly.
import { MISSING_NAN, MISSING_ZERO, type SplitRules, type Tree } from './ensemble.js'
import { LIGHTGBM_ZERO } from './evaluate.js'

export interface Steps {
  /**
   * Ascending float32 numbers where the side changes. `below` rules: what is below the first lies before it; otherwise what is at
   * most the first does.
   */
  readonly bounds: readonly number[]
  /** Whether what lies before the first bound, and between the second and the third and so on, goes left. */
  readonly startsLeft: boolean
  readonly missingGoesLeft: boolean
}

/** XGBoost's steps are ONNX's BRANCH_LT, LightGBM's are BRANCH_LEQ. */
export function stepsOf(tree: Tree, split: number, rules: SplitRules): Steps {
  return rules === 'xgboost' ? xgboostSteps(tree, split) : lightgbmSteps(tree, split)
}

function xgboostSteps(tree: Tree, split: number): Steps {
  const missingGoesLeft = tree.defaultLeft[split] === 1
  const set = tree.categories.get(split)
  if (!set) {
    const threshold = tree.threshold[split]!
    // Nothing is below minus infinity.
    const bounds = threshold === Number.NEGATIVE_INFINITY ? [] : [threshold]
    return { bounds, startsLeft: bounds.length > 0, missingGoesLeft }
  }
  const bounds: number[] = []
  for (const [first, last] of runs(set)) bounds.push(first, last + 1)
  return { bounds, startsLeft: true, missingGoesLeft }
}

function lightgbmSteps(tree: Tree, split: number): Steps {
  const set = tree.categories.get(split)
  if (set) {
    const bounds: number[] = []
    for (const [first, last] of runs(set)) {
      // A number is of the category that is left when its fraction is cut off: -0.5 is of category 0.
      bounds.push(first === 0 ? -1 : nextBelow(first), nextBelow(last + 1))
    }
    return { bounds: withoutEmpty(bounds), startsLeft: false, missingGoesLeft: false }
  }
  const missing = tree.missing[split]!
  const isDefaultLeft = tree.defaultLeft[split] === 1
  const threshold = tree.threshold[split]!
  const isZeroLeft = missing === MISSING_ZERO ? isDefaultLeft : 0 <= threshold
  const at = floor32(threshold)
  // What is as small as zero is zero.
  return {
    bounds: changes([
      [Math.min(at, BEFORE_ZERO), true],
      [BEFORE_ZERO, false],
      [LIGHTGBM_ZERO, isZeroLeft],
      [Math.max(at, LIGHTGBM_ZERO), true],
      [Number.POSITIVE_INFINITY, at === Number.POSITIVE_INFINITY],
    ]),
    startsLeft: true,
    missingGoesLeft: missing === MISSING_NAN ? isDefaultLeft : isZeroLeft,
  }
}

/** From pieces of the line, each up to and with a number, to the ends of those after which the side changes. */
function changes(pieces: readonly (readonly [upTo: number, isLeft: boolean])[]): number[] {
  const bounds: number[] = []
  let reached: number | undefined
  let side = true
  for (const [upTo, isLeft] of pieces) {
    if (reached !== undefined && upTo <= reached) continue
    if (reached !== undefined && isLeft !== side) bounds.push(reached)
    side = isLeft
    reached = upTo
  }
  return bounds
}

/** Of consecutive categories: first and last. */
function runs(set: Int32Array): [number, number][] {
  const found: [number, number][] = []
  for (const category of set) {
    const last = found.at(-1)
    if (last && last[1] === category - 1) last[1] = category
    else found.push([category, category])
  }
  return found
}

/** Above 2^24 float32 has no place for every category: two bounds that fall together are none. */
function withoutEmpty(bounds: readonly number[]): number[] {
  const kept: number[] = []
  for (const bound of bounds) {
    if (kept.at(-1) === bound) kept.pop()
    else kept.push(bound)
  }
  return kept
}

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** The largest float32 that is at most `value`. */
export function floor32(value: number): number {
  const near = Math.fround(value)
  return near <= value ? near : nextBelow(near)
}

/** The largest float32 that is below `value`; minus infinity for itself. */
export function nextBelow(value: number): number {
  const near = Math.fround(value)
  if (near < value) return near
  if (near === Number.NEGATIVE_INFINITY) return near
  if (near === 0) return -(2 ** -149)
  float[0] = near
  bits[0]! += near > 0 ? -1 : 1
  return float[0]!
}

/** The largest number that is not zero to LightGBM and below it. */
const BEFORE_ZERO = nextBelow(-LIGHTGBM_ZERO)
