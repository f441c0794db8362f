// LightGBM's text format (src/boosting/gbdt_model_text.cpp and src/io/tree.cpp).
import { type Link, MAX_FEATURES, MAX_SPLITS, MAX_TREES, type Tree, type TreeEnsemble } from './ensemble.js'
import { expectAtMost, unreadable, unsupported } from './failure.js'

const EXPORT =
  'Export it where you train: onnxmltools.convert_lightgbm(model, initial_types=...), or serve it elsewhere through a remote version.'

const KNOWN_VERSIONS = ['v2', 'v3', 'v4']

// decision_type: bit 0 by category, bit 1 default left, bits 2 and 3 what is missing.
const BY_CATEGORY = 1
const DEFAULT_LEFT = 2
const MISSING_SHIFT = 2

/** A tree has about twenty. The engine aborts the process for lists of a hundred million. */
const MAX_LINES = 10_000
const MAX_CATEGORIES = 100_000

/** Not checked yet. Throws UNREADABLE, UNSUPPORTED, TOO_LARGE. */
export function readLightgbm(bytes: Uint8Array): TreeEnsemble {
  const text = textOf(bytes)
  const end = text.indexOf('\nend of trees')
  if (end < 0) throw unreadable('it has no "end of trees": it was cut off')
  const [first = '', ...blocks] = text.slice(0, end).split(/^Tree=/m, MAX_TREES + 2)
  expectAtMost('trees', MAX_TREES, blocks.length)
  const header = pairsOf(first)
  const version = header.get('version') ?? ''
  if (!KNOWN_VERSIONS.includes(version)) throw unsupported(`version "${version}" of LightGBM's text format`, EXPORT)
  const outputs = whole(header, 'num_tree_per_iteration', whole(header, 'num_class', 1))
  expectAtMost('outputs', 10_000, outputs)
  if (outputs < 1) throw unreadable('it has no outputs')
  const scale = header.has('average_output') ? 1 / Math.max(1, Math.floor(blocks.length / outputs)) : 1
  const names = header.get('feature_names')?.split(' ', MAX_FEATURES + 1)
  const objective = header.get('objective') ?? 'none'
  return {
    rules: 'lightgbm',
    // The library's own version is not in the file.
    libraryVersion: `format ${version}`,
    objective,
    featureCount: whole(header, 'max_feature_idx') + 1,
    featureNames: names,
    trees: blocks.map((block, i) => readTree(pairsOf(block), i, outputs, scale)),
    base: new Float64Array(outputs),
    ...meaningOf(objective, outputs),
    notices: [],
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n')
  } catch {
    throw unreadable('it is not UTF-8')
  }
}

/** `key=value` by line; a key alone has an empty value. */
function pairsOf(text: string): Map<string, string> {
  const pairs = new Map<string, string>()
  const lines = text.split('\n', MAX_LINES + 1)
  expectAtMost('lines of a tree', MAX_LINES, lines.length)
  for (const line of lines) {
    const at = line.indexOf('=')
    if (at > 0) pairs.set(line.slice(0, at), line.slice(at + 1))
    else if (line !== '') pairs.set(line, '')
  }
  return pairs
}

// src/objective/*.hpp: ConvertOutput.
function meaningOf(objective: string, outputs: number): Pick<TreeEnsemble, 'task' | 'link'> {
  const [name = '', ...options] = objective.split(' ')
  const sigmoid = (): Link => {
    const scale = Number(options.find((option) => option.startsWith('sigmoid:'))?.slice(8) ?? 1)
    if (!(scale > 0 && Number.isFinite(scale))) throw unreadable(`its objective "${objective}" has no sigmoid`)
    return { kind: 'sigmoid', scale }
  }
  switch (name) {
    case 'regression':
    case 'regression_l2':
      return { task: 'value', link: { kind: options.includes('sqrt') ? 'signedSquare' : 'identity' } }
    case 'regression_l1':
    case 'huber':
    case 'fair':
    case 'quantile':
    case 'mape':
    case 'lambdarank':
    case 'rank_xendcg':
    case 'custom':
    case 'none':
      return { task: 'value', link: { kind: 'identity' } }
    case 'poisson':
    case 'gamma':
    case 'tweedie':
      return { task: 'value', link: { kind: 'exp' } }
    case 'binary':
      return { task: 'binary', link: sigmoid() }
    case 'cross_entropy':
    case 'xentropy':
      return { task: 'value', link: { kind: 'sigmoid', scale: 1 } }
    case 'cross_entropy_lambda':
    case 'xentlambda':
      return { task: 'value', link: { kind: 'softplus' } }
    case 'multiclass':
    case 'softmax':
      return { task: outputs > 1 ? 'classes' : 'value', link: { kind: 'softmax' } }
    case 'multiclassova':
    case 'ova':
      return { task: outputs > 1 ? 'classes' : 'binary', link: sigmoid() }
    default:
      throw unsupported(`the objective "${name}"`, EXPORT)
  }
}

function readTree(pairs: Map<string, string>, index: number, outputs: number, scale: number): Tree {
  if ((pairs.get('is_linear') ?? '0') !== '0') {
    throw unsupported(
      'linear trees (linear_tree=true), whose leaves are linear models',
      'Train it with linear_tree=false.',
    )
  }
  const leafCount = whole(pairs, 'num_leaves')
  const values = numbers(pairs, 'leaf_value', leafCount)
  const leaves = Float64Array.from(values, (value) => value * scale)
  const splits = leafCount - 1
  const output = index % outputs
  if (splits < 1) return { ...noSplits(), output, leaves }
  const decisions = numbers(pairs, 'decision_type', splits)
  const threshold = Float64Array.from(numbers(pairs, 'threshold', splits))
  return {
    output,
    leaves,
    threshold,
    feature: whole32(numbers(pairs, 'split_feature', splits)),
    left: whole32(numbers(pairs, 'left_child', splits)),
    right: whole32(numbers(pairs, 'right_child', splits)),
    defaultLeft: Uint8Array.from(decisions, (type) => (type & DEFAULT_LEFT ? 1 : 0)),
    missing: Uint8Array.from(decisions, missingOf),
    categories: categoriesOf(pairs, decisions, threshold),
  }
}

function noSplits(): Omit<Tree, 'output' | 'leaves'> {
  const none = new Int32Array(0)
  const bytes = new Uint8Array(0)
  const threshold = new Float64Array(0)
  return {
    feature: none,
    left: none,
    right: none,
    threshold,
    defaultLeft: bytes,
    missing: bytes,
    categories: new Map(),
  }
}

/** The file counts as the evaluator does: 0 none, 1 zero, 2 NaN. */
function missingOf(decision: number): number {
  const missing = (decision >> MISSING_SHIFT) & 3
  if (missing > 2) throw unreadable(`it has the decision type ${decision}`)
  return missing
}

function categoriesOf(
  pairs: Map<string, string>,
  decisions: readonly number[],
  thresholds: Float64Array,
): Map<number, Int32Array> {
  const sets = new Map<number, Int32Array>()
  if (!decisions.some((decision) => decision & BY_CATEGORY)) return sets
  const bounds = numbers(pairs, 'cat_boundaries', whole(pairs, 'num_cat') + 1)
  const words = numbers(pairs, 'cat_threshold')
  for (const [split, decision] of decisions.entries()) {
    if (!(decision & BY_CATEGORY)) continue
    const from = bounds[thresholds[split]!]
    const to = bounds[thresholds[split]! + 1]
    if (from === undefined || to === undefined || !(from >= 0 && from <= to && to <= words.length)) {
      throw unreadable('a tree has a split by category without categories')
    }
    sets.set(split, setBits(words.slice(from, to)))
  }
  return sets
}

function setBits(words: readonly number[]): Int32Array {
  const set: number[] = []
  for (const [at, word] of words.entries()) {
    for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1) set.push(at * 32 + bit)
    expectAtMost('categories of a split', MAX_CATEGORIES, set.length)
  }
  return Int32Array.from(set)
}

function whole(pairs: Map<string, string>, key: string, missing?: number): number {
  const text = pairs.get(key)
  if (text === undefined && missing !== undefined) return missing
  const number = text === undefined || text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isSafeInteger(number) || number < 0) throw unreadable(`"${key}" is no whole number`)
  return number
}

function numbers(pairs: Map<string, string>, key: string, count?: number): number[] {
  const text = pairs.get(key)?.trim()
  if (text === undefined || text === '') throw unreadable(`"${key}" is missing`)
  const found = text.split(' ', MAX_SPLITS + 2).map(number)
  expectAtMost(`elements of "${key}"`, MAX_SPLITS + 1, found.length)
  if (count !== undefined && found.length !== count) {
    throw unreadable(`"${key}" has ${found.length} elements, and ${count} are needed`)
  }
  return found
}

function number(text: string): number {
  if (text === 'inf') return Number.POSITIVE_INFINITY
  if (text === '-inf') return Number.NEGATIVE_INFINITY
  return Number(text)
}

function whole32(values: readonly number[]): Int32Array {
  for (const value of values) if ((value | 0) !== value) throw unreadable('a tree has a link that is no whole number')
  return Int32Array.from(values)
}
