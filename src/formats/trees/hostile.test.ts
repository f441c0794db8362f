// Files made to hurt: each is refused, quickly and by name of what is wrong.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { treeFile } from '../../../test/support/tree-cases.js'
import { evaluateRow } from './evaluate.js'
import { FormatFailure } from './failure.js'
import { readTrees } from './read.js'
import { readUbjson } from './ubjson.js'
import { writeOnnx } from './write-onnx.js'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const refusal = (read: () => unknown): FormatFailure => {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(FormatFailure)
    return error as FormatFailure
  }
  throw new Error('it was read')
}

type Tree = Record<string, unknown> & { left_children: number[]; right_children: number[] }
interface Model {
  learner: {
    objective: { name: string }
    learner_model_param: Record<string, string>
    gradient_booster: { model: { trees: Tree[]; tree_info: number[] } }
  }
}

function xgboost(change: (model: Model, tree: Tree) => void): Uint8Array {
  const model = JSON.parse(new TextDecoder().decode(treeFile('xgboost-binary-logistic.json'))) as Model
  change(model, model.learner.gradient_booster.model.trees[0]!)
  return text(JSON.stringify(model))
}

function lightgbm(pattern: RegExp, replacement: string): Uint8Array {
  const original = new TextDecoder().decode(treeFile('lightgbm-regression.txt'))
  expect(original).toMatch(pattern)
  return text(original.replace(pattern, replacement))
}

describe('a file of XGBoost', () => {
  it.each<[string, (model: Model, tree: Tree) => void, RegExp]>([
    ['whose nodes point in a circle', (_, tree) => (tree.left_children[1] = 0), /reaches node|two ways/],
    ['whose nodes share a child', (_, tree) => (tree.left_children[0] = tree.right_children[0]!), /two ways/],
    ['whose nodes point outside', (_, tree) => (tree.right_children[0] = 1e9), /points at node/],
    ['whose nodes point at half a node', (_, tree) => (tree.right_children[0] = 1.5), /no whole number/],
    [
      'that splits by a feature that is not there',
      (_, tree) => (tree['split_indices'] = [99, ...(tree['split_indices'] as number[]).slice(1)]),
      /feature 99/,
    ],
    [
      'with a threshold that is no number',
      (_, tree) => (tree['split_conditions'] = (tree['split_conditions'] as number[]).map(() => null)),
      /no number/,
    ],
    ['whose lists are of different lengths', (_, tree) => (tree['default_left'] = [0]), /default_left/],
    ['without a list', (_, tree) => delete tree['split_indices'], /split_indices/],
    ['of a class that is not there', (model) => model.learner.gradient_booster.model.tree_info.fill(7), /output 7/],
    ['without a base score', (model) => (model.learner.learner_model_param['base_score'] = 'x'), /base score/],
    [
      'with a probability of 2 as base',
      (model) => (model.learner.learner_model_param['base_score'] = '2'),
      /base score/,
    ],
    ['of an unknown objective', (model) => (model.learner.objective.name = 'reg:mine'), /reg:mine/],
    ['of a name that all objects have', (model) => (model.learner.objective.name = 'constructor'), /constructor/],
    [
      'with a billion features',
      (model) => (model.learner.learner_model_param['num_feature'] = '1000000000'),
      /1000000000/,
    ],
    [
      'with a billion classes',
      (model) => (model.learner.learner_model_param['num_class'] = '1000000000'),
      /1000000000/,
    ],
    ['without trees', (model) => Object.assign(model.learner.gradient_booster.model, { trees: 5 }), /trees/],
  ])('%s is refused', (_, change, message) => {
    expect(refusal(() => readTrees(xgboost(change))).message).toMatch(message)
  })

  it('that is a chain of 100,000 splits is refused for its depth', () => {
    const count = 100_000
    const nodes = 2 * count + 1
    const bytes = xgboost((_, tree) => {
      const left = Array.from({ length: nodes }, (_, i) => (i < 2 * count && i % 2 === 0 ? i + 1 : -1))
      const right = Array.from({ length: nodes }, (_, i) => (i < 2 * count && i % 2 === 0 ? i + 2 : -1))
      const none = new Array<number>(nodes).fill(0)
      Object.assign(tree, {
        left_children: left,
        right_children: right,
        split_conditions: none,
        split_indices: none,
        default_left: none,
        split_type: none,
        categories_nodes: [],
      })
    })
    expect(refusal(() => readTrees(bytes))).toMatchObject({ key: 'TOO_LARGE', params: { what: 'levels of a tree' } })
  })

  it('that is nothing but brackets is refused', () => {
    expect(refusal(() => readTrees(text(`{"learner":${'['.repeat(1e6)}`))).key).toBe('UNREADABLE')
    expect(refusal(() => readTrees(text('{"learner": {"objective": 5}}'))).message).toMatch(/learner_model_param/)
  })

  it('with more lists than trees can have is refused before they are made', () => {
    const json = text(`{"learner":[${'{},'.repeat(4_000_000)}{}]}`)
    expect(refusal(() => readTrees(json))).toMatchObject({ key: 'TOO_LARGE', params: { what: 'lists and objects' } })
  })

  it('keeps what stands in its texts, also when it has numbers that JSON does not have', () => {
    const bytes = text('{"a": [NaN, -Infinity, Infinity], "b": "NaN \\" Infinity"}')
    expect(refusal(() => readTrees(bytes)).message).toMatch(/learner/)
  })
})

describe('Universal Binary JSON', () => {
  const bytes = (...parts: (string | number[])[]) =>
    Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...Buffer.from(part, 'latin1')] : part)))
  const billion = [0x6c, 0x3b, 0x9a, 0xca, 0x00]

  it.each<[string, Uint8Array]>([
    ['a list of a billion floats', bytes('[$d#', billion)],
    ['a list of a billion nothings', bytes('[$Z#', billion)],
    ['a list of a billion lists', bytes('[#', billion, '[')],
    ['a text of a billion bytes', bytes('S', billion)],
    ['a key of a billion bytes', bytes('{', billion)],
    ['a negative length', bytes('[$d#l', [0xff, 0xff, 0xff, 0xff])],
    ['a length that is no number', bytes('[#S')],
    ['a length of 2^63 - 1', bytes('[$d#L', [0x7f, 255, 255, 255, 255, 255, 255, 255])],
    ['a list without an end', bytes('[i', [1])],
    ['a type without a length', bytes('[$d', [0, 0, 0, 0])],
    ['a million lists in each other', bytes('['.repeat(1e6))],
    ['a million objects in each other', bytes('{i\x01a'.repeat(1e6))],
    ['what follows its end', bytes('{}', [1])],
    ['nothing', new Uint8Array(0)],
    ['a text that is not UTF-8', bytes('S', [0x55, 1, 0xff])],
  ])('with %s is refused', (_, file) => {
    expect(refusal(() => readUbjson(file)).key).toBe('UNREADABLE')
  })

  it('with more values than trees can have is refused before the engine aborts', () => {
    const count = 10_000_010
    const head = new Uint8Array([...'{i\x07learner[#l'].map((letter) => letter.charCodeAt(0)))
    const bytes = new Uint8Array(head.length + 4 + count + 1).fill('Z'.charCodeAt(0))
    bytes.set(head)
    new DataView(bytes.buffer).setInt32(head.length, count)
    bytes[bytes.length - 1] = '}'.charCodeAt(0)
    expect(refusal(() => readTrees(bytes))).toMatchObject({ key: 'TOO_LARGE', params: { what: 'values' } })
  })

  it('never fails otherwise, nor hangs, on anything', () => {
    const marker = fc.constantFrom(...'{}[]$#iUIlLdDSTFZNC').map((letter) => letter.charCodeAt(0))
    const soup = fc.array(fc.oneof({ weight: 3, arbitrary: marker }, fc.nat(255)), { maxLength: 80 })
    fc.assert(
      fc.property(soup, (given) => {
        try {
          readUbjson(Uint8Array.from(given))
        } catch (error) {
          expect(error).toBeInstanceOf(FormatFailure)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('a file of LightGBM', () => {
  it.each<[string, RegExp, string, RegExp]>([
    ['that was cut off', /\nend of trees/, '', /cut off/],
    ['of a version to come', /version=v4/, 'version=v9', /v9/],
    ['with a billion leaves', /num_leaves=8/, 'num_leaves=1000000000', /elements/],
    ['with a leaf that is no number', /leaf_value=\S+/, 'leaf_value=nan', /no number/],
    ['with a threshold that is no number', /\nthreshold=\S+/, '\nthreshold=nan', /no number|categories/],
    ['whose nodes point in a circle', /left_child=\S+/, 'left_child=0', /two ways|node/],
    ['whose nodes point outside', /right_child=\S+/, 'right_child=-900', /leaf 899/],
    ['with a link that is no number', /right_child=\S+/, 'right_child=x', /no whole number/],
    ['with an unknown objective', /objective=regression/, 'objective=mine', /mine/],
    ['with a billion features', /max_feature_idx=5/, 'max_feature_idx=999999999', /1000000000/],
    ['with a billion outputs', /num_tree_per_iteration=1/, 'num_tree_per_iteration=1000000000', /outputs/],
    ['with names for other features', /feature_names=age /, 'feature_names=', /names 5 features/],
    ['without thresholds', /\nthreshold=.*/, '', /threshold/],
    ['with a decision that is none', /decision_type=\S+/, 'decision_type=14', /decision type 14/],
  ])('%s is refused', (_, pattern, replacement, message) => {
    expect(refusal(() => readTrees(lightgbm(pattern, replacement))).message).toMatch(message)
  })

  it.each<[string, string, RegExp, () => string]>([
    ['empty lines', 'lines of a tree', /\nversion=v4/, () => `${'\n'.repeat(20_000)}\nversion=v4`],
    ['trees', 'trees', /\nend of trees/, () => `${'\nTree=1'.repeat(100_001)}\nend of trees`],
    ['names', 'names', /feature_names=/, () => `feature_names=${' '.repeat(2_000_000)}`],
    ['numbers', 'elements of "leaf_value"', /leaf_value=/, () => `leaf_value=${'1 '.repeat(5_000_002)}`],
  ])('with more %s than trees can have is refused before the engine aborts', (_, what, pattern, replacement) => {
    const { key, params } = refusal(() => readTrees(lightgbm(pattern, replacement())))
    expect([key, JSON.stringify(params)]).toEqual([
      what === 'names' ? 'UNREADABLE' : 'TOO_LARGE',
      expect.stringContaining(what.replaceAll('"', '\\"')),
    ])
  })

  it('with more categories in a split than a tree can tell apart is refused', () => {
    const original = new TextDecoder().decode(treeFile('lightgbm-many-categories.txt'))
    const words = '4294967295 '.repeat(5_000).trim()
    const bytes = text(
      original
        .replace(/cat_boundaries=.*/, (line) => line.replace(/\d+$/, '5000'))
        .replace(/cat_threshold=.*/, `cat_threshold=${words}`),
    )
    expect(refusal(() => readTrees(bytes))).toMatchObject({
      key: 'TOO_LARGE',
      params: { what: 'categories of a split' },
    })
  })

  it('with categories that are not there is refused', () => {
    const original = new TextDecoder().decode(treeFile('lightgbm-many-categories.txt'))
    const bytes = text(original.replace(/cat_boundaries=.*/, (line) => line.replace(/\d+$/, '900000')))
    expect(refusal(() => readTrees(bytes)).message).toMatch(/categories/)
  })
})

describe('a file with random damage', () => {
  it.each(['xgboost-dart-ubj.ubj', 'xgboost-many-categories.json', 'lightgbm-many-categories.txt'])(
    '%s is refused, or is another model that can be evaluated and written',
    (name) => {
      const original = treeFile(name)
      const damage = fc.array(fc.record({ at: fc.nat(original.length - 1), byte: fc.nat(255) }), {
        minLength: 1,
        maxLength: 4,
      })
      fc.assert(
        fc.property(damage, (places) => {
          const bytes = original.slice()
          for (const { at, byte } of places) bytes[at] = byte
          try {
            const ensemble = readTrees(bytes)
            evaluateRow(ensemble, new Float32Array(ensemble.featureCount))
            writeOnnx(ensemble, { metadata: {} })
          } catch (error) {
            if (!(error instanceof FormatFailure)) throw error
          }
        }),
        { numRuns: 150 },
      )
    },
  )
})
