// XGBoost's own model format, in JSON or UBJSON (https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html).
import { type Link, MISSING_NAN, type Tree, type TreeEnsemble } from './ensemble.js'
import { expectAtMost, unreadable, unsupported } from './failure.js'
import { Fields } from './fields.js'
import { readLooseJson } from './json.js'
import { readUbjson } from './ubjson.js'

const EXPORT =
  'Export it where you train: onnxmltools.convert_xgboost(model, initial_types=...), or serve it elsewhere through a remote version.'

/** Whether the first bytes are those of XGBoost's format in UBJSON. */
export function isXgboostUbjson(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b && 'iUIlL'.includes(String.fromCharCode(bytes[1] ?? 0))
}

interface Objective {
  readonly task: TreeEnsemble['task']
  readonly link: Link
  /** From the base score, which is what the model answers without trees, to the margin it stands for. */
  readonly toMargin: (score: number) => number
}

const asIs = (score: number): number => score
const logit = (score: number): number => -Math.log(1 / score - 1)
const IDENTITY: Objective = { task: 'value', link: { kind: 'identity' }, toMargin: asIs }
const LOGISTIC: Objective = { task: 'value', link: { kind: 'sigmoid', scale: 1 }, toMargin: logit }
const EXPONENTIAL: Objective = { task: 'value', link: { kind: 'exp' }, toMargin: Math.log }
const CLASSES: Objective = { task: 'classes', link: { kind: 'softmax' }, toMargin: asIs }

// src/objective/*.cu: PredTransform and ProbToMargin.
const OBJECTIVES: Readonly<Record<string, Objective>> = {
  'reg:squarederror': IDENTITY,
  'reg:linear': IDENTITY,
  'reg:squaredlogerror': IDENTITY,
  'reg:pseudohubererror': IDENTITY,
  'reg:absoluteerror': IDENTITY,
  'reg:quantileerror': IDENTITY,
  'reg:expectileerror': IDENTITY,
  'reg:logistic': LOGISTIC,
  'reg:gamma': EXPONENTIAL,
  'reg:tweedie': EXPONENTIAL,
  'count:poisson': EXPONENTIAL,
  'survival:cox': EXPONENTIAL,
  'survival:aft': EXPONENTIAL,
  'rank:pairwise': IDENTITY,
  'rank:ndcg': IDENTITY,
  'rank:map': IDENTITY,
  'binary:logistic': { ...LOGISTIC, task: 'binary' },
  'binary:logitraw': IDENTITY,
  'binary:hinge': { ...IDENTITY, task: 'sign' },
  'multi:softprob': CLASSES,
  'multi:softmax': CLASSES,
}

/** Not checked yet. Throws UNREADABLE, UNSUPPORTED, TOO_LARGE. */
export function readXgboost(bytes: Uint8Array): TreeEnsemble {
  const root = Fields.of(isXgboostUbjson(bytes) ? readUbjson(bytes) : readLooseJson(bytes), 'the file')
  const learner = root.object('learner')
  const parameters = learner.object('learner_model_param')
  const objectiveName = learner.object('objective').text('name')
  const objective = Object.hasOwn(OBJECTIVES, objectiveName) ? OBJECTIVES[objectiveName]! : undefined
  if (!objective) throw unsupported(`the objective "${objectiveName}"`, EXPORT)
  const booster = boosterOf(learner.object('gradient_booster'))
  const outputs = Math.max(1, parameters.whole('num_class', 0), parameters.whole('num_target', 1))
  expectAtMost('outputs', 10_000, outputs)
  if (objective.task === 'classes' && parameters.whole('num_class', 0) < 2) {
    throw unreadable('it has an objective of several classes, and fewer than two of them')
  }
  const featureCount = parameters.whole('num_feature')
  const names = learner.has('feature_names') ? learner.texts('feature_names') : []
  return {
    rules: 'xgboost',
    libraryVersion: root.has('version') ? Array.from(root.numbers('version')).join('.') : 'unknown',
    objective: objectiveName,
    featureCount,
    featureNames: names.length === 0 ? undefined : names,
    trees: readTrees(booster),
    base: baseMargins(parameters, outputs, objective),
    link: objective.link,
    // A model of several targets is not one of two classes.
    task: objective.task === 'binary' && outputs > 1 ? 'value' : objective.task,
    notices: noticesOf(learner, booster.model),
  }
}

interface Booster {
  readonly model: Fields
  /** By tree; undefined when all are 1. */
  readonly weights: ArrayLike<number> | undefined
}

function boosterOf(booster: Fields): Booster {
  const name = booster.text('name')
  switch (name) {
    case 'gbtree':
      return { model: booster.object('model'), weights: undefined }
    case 'dart':
      return { model: booster.object('gbtree').object('model'), weights: booster.numbers('weight_drop') }
    default:
      throw unsupported(
        name === 'gblinear' ? 'a linear booster (gblinear), no trees' : `the booster "${name}"`,
        name === 'gblinear'
          ? 'Its weights are in get_dump(): a MatMul and an Add in ONNX, or a script, say the same.'
          : EXPORT,
      )
  }
}

function baseMargins(parameters: Fields, outputs: number, { toMargin }: Objective): Float64Array {
  // Until XGBoost 3.0 one number as text, then a list of them as text.
  const text = parameters.has('base_score') ? parameters.text('base_score') : '0.5'
  const scores = text
    .replace(/^\[|\]$/g, '')
    .split(',')
    .map(numberOf)
  if (scores.length !== 1 && scores.length !== outputs) {
    throw unreadable(`it has ${scores.length} base scores for ${outputs} outputs`)
  }
  return Float64Array.from({ length: outputs }, (_, i) => Math.fround(toMargin(scores[i] ?? scores[0]!)))
}

function numberOf(text: string): number {
  return text.trim() === '' ? Number.NaN : Math.fround(Number(text))
}

function readTrees({ model, weights }: Booster): Tree[] {
  const trees = model.list('trees')
  const outputs = model.integers('tree_info', trees.length)
  expectAtMost('trees', 100_000, trees.length)
  if (weights && weights.length !== trees.length) {
    throw unreadable(`it has ${weights.length} weights for ${trees.length} trees`)
  }
  return trees.map((tree, i) => readTree(Fields.of(tree, `trees[${i}]`), outputs[i]!, weights?.[i] ?? 1))
}

function readTree(tree: Fields, output: number, weight: number): Tree {
  if (tree.object('tree_param').whole('size_leaf_vector', 1) > 1) {
    throw unsupported(
      'trees whose leaves hold several outputs (multi_strategy="multi_output_tree")',
      'Train it with multi_strategy="one_output_per_tree".',
    )
  }
  const leftNodes = tree.integers('left_children')
  const count = leftNodes.length
  const rightNodes = tree.integers('right_children', count)
  const conditions = tree.numbers('split_conditions', count)
  const features = tree.integers('split_indices', count)
  const defaults = tree.numbers('default_left', count)
  if (count === 0) throw unreadable('it has a tree without nodes')

  // Splits and leaves are numbered apart; nodes that were pruned away are in the arrays too, and nobody points at them.
  const numbers = new Int32Array(count)
  let splits = 0
  let leaves = 0
  for (let node = 0; node < count; node++) numbers[node] = leftNodes[node] === -1 ? ~leaves++ : splits++
  const child = (node: number): number => {
    if (!(node >= 0 && node < count)) throw unreadable(`a tree points at node ${node}, and it has ${count}`)
    return numbers[node]!
  }
  const read = {
    output,
    feature: new Int32Array(splits),
    left: new Int32Array(splits),
    right: new Int32Array(splits),
    threshold: new Float64Array(splits),
    defaultLeft: new Uint8Array(splits),
    missing: new Uint8Array(splits).fill(MISSING_NAN),
    leaves: new Float64Array(leaves),
  }
  for (let node = 0; node < count; node++) {
    const number = numbers[node]!
    if (number < 0) {
      read.leaves[~number] = Math.fround(conditions[node]!) * weight
      continue
    }
    read.feature[number] = features[node]!
    read.left[number] = child(leftNodes[node]!)
    read.right[number] = child(rightNodes[node]!)
    read.threshold[number] = Math.fround(conditions[node]!)
    read.defaultLeft[number] = defaults[node] ? 1 : 0
  }
  if (numbers[0]! < 0) return { ...EMPTY, output, leaves: read.leaves.subarray(0, 1) }
  return { ...read, categories: readCategories(tree, numbers) }
}

const EMPTY = {
  feature: new Int32Array(0),
  left: new Int32Array(0),
  right: new Int32Array(0),
  threshold: new Float64Array(0),
  defaultLeft: new Uint8Array(0),
  missing: new Uint8Array(0),
  categories: new Map<number, Int32Array>(),
}

function readCategories(tree: Fields, numbers: Int32Array): Map<number, Int32Array> {
  const sets = new Map<number, Int32Array>()
  if (!tree.has('split_type')) return sets
  const types = tree.integers('split_type', numbers.length)
  const nodes = tree.has('categories_nodes') ? tree.integers('categories_nodes') : []
  if (nodes.length > 0) {
    const starts = tree.integers('categories_segments', nodes.length)
    const sizes = tree.integers('categories_sizes', nodes.length)
    const all = Int32Array.from(tree.integers('categories'))
    for (let i = 0; i < nodes.length; i++) {
      const from = starts[i]!
      const number = numbers[nodes[i]!]
      if (number === undefined || !(from >= 0 && sizes[i]! >= 0 && from + sizes[i]! <= all.length)) {
        throw unreadable('a tree has categories for what is no split, or more of them than there are')
      }
      const set = all.slice(from, from + sizes[i]!).sort()
      // What is larger is none to XGBoost (kMaxCat), because float32 cannot tell it from its neighbours.
      if ((set[0] ?? 0) < 0 || (set.at(-1) ?? 0) >= 2 ** 24)
        throw unreadable('a tree has a category that cannot be one')
      if (number >= 0) sets.set(number, withoutRepetition(set))
    }
  }
  for (let node = 0; node < numbers.length; node++) {
    if (types[node] === 1 && numbers[node]! >= 0 && !sets.has(numbers[node]!)) {
      throw unreadable('a tree has a split by category without categories')
    }
  }
  return sets
}

function withoutRepetition(sorted: Int32Array): Int32Array {
  return sorted.filter((category, i) => i === 0 || category !== sorted[i - 1])
}

function noticesOf(learner: Fields, model: Fields): string[] {
  const best = learner.has('attributes')
    ? Number(learner.object('attributes').get('best_iteration') ?? Number.NaN)
    : Number.NaN
  if (!model.has('iteration_indptr')) return []
  const rounds = model.numbers('iteration_indptr').length - 1
  if (!(best + 1 < rounds)) return []
  return [
    `Training stopped early: round ${best} of ${rounds} was the best. All rounds are served, as Booster.predict does; for what XGBClassifier and XGBRegressor predict, save booster[: ${best + 1}].`,
  ]
}
