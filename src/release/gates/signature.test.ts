import { describe, expect, it } from 'vitest'
import { describeRows, type ModelManifest, type Signature, type TensorSpec } from '../../tensor/index.js'
import { type CallersView, compareSignatures } from './signature.js'

interface Given {
  readonly inputs?: readonly TensorSpec[]
  readonly outputs?: readonly TensorSpec[]
  readonly labels?: readonly string[]
  readonly features?: readonly string[]
  readonly meanings?: ModelManifest['outputs']
  readonly featureService?: string
  readonly batchAxis?: 0 | null
}

const AMOUNT: TensorSpec = { name: 'amount', datatype: 'FP32', shape: [-1, 1] }
const COUNTRY: TensorSpec = { name: 'country', datatype: 'BYTES', shape: [-1, 1] }
const PROBABILITY: TensorSpec = { name: 'probabilities', datatype: 'FP32', shape: [-1, 2] }
const SCORE: TensorSpec = { name: 'score', datatype: 'FP32', shape: [-1] }

function view(given: Given): CallersView {
  const { inputs = [AMOUNT, COUNTRY], outputs = [PROBABILITY], batchAxis = 0 } = given
  const labels = given.labels ?? ['ok', 'fraud']
  const signature: Signature = { inputs, outputs, batchAxis }
  return {
    schema: describeRows(signature, { features: given.features, outputs: given.meanings ?? {} }, labels),
    featureService: given.featureService,
  }
}

const BASE: Given = {}

/** What changes, whether callers break, and a piece of the sentence that says so. */
const CASES: readonly (readonly [string, Given, Given, boolean, RegExp])[] = [
  ['an input more', BASE, { inputs: [AMOUNT, COUNTRY, { ...AMOUNT, name: 'age' }] }, true, /"age" is new and required/],
  [
    'an optional input more',
    BASE,
    { inputs: [AMOUNT, COUNTRY, { ...AMOUNT, name: 'age', isOptional: true }] },
    false,
    /"age" is new and optional/,
  ],
  [
    'an input more that a feature service gives',
    { featureService: 'payments' },
    { featureService: 'payments', inputs: [AMOUNT, COUNTRY, { ...AMOUNT, name: 'age' }] },
    false,
    /feature service "payments" has to give it/,
  ],
  ['an input less', BASE, { inputs: [AMOUNT] }, true, /"country" is gone/],
  [
    'a wider input',
    BASE,
    { inputs: [{ ...AMOUNT, datatype: 'FP64' }, COUNTRY] },
    false,
    /"amount" is FP64 and was FP32/,
  ],
  ['a narrower input', BASE, { inputs: [{ ...AMOUNT, datatype: 'FP16' }, COUNTRY] }, true, /does not hold every value/],
  [
    'an integer in place of a float',
    BASE,
    { inputs: [{ ...AMOUNT, datatype: 'INT64' }, COUNTRY] },
    true,
    /INT64 and was FP32/,
  ],
  [
    'another shape',
    BASE,
    { inputs: [{ ...AMOUNT, shape: [-1, 3] }, COUNTRY] },
    true,
    /takes shape \[3\] and took \[1\]/,
  ],
  [
    'a freer shape',
    { inputs: [{ ...AMOUNT, shape: [-1, 3] }, COUNTRY] },
    { inputs: [{ ...AMOUNT, shape: [-1, -1] }, COUNTRY] },
    false,
    /which \[3\] fits/,
  ],
  [
    'an input that is no longer optional',
    { inputs: [AMOUNT, { ...COUNTRY, isOptional: true }] },
    BASE,
    true,
    /no longer optional/,
  ],
  ['an output more', BASE, { outputs: [PROBABILITY, SCORE] }, false, /Output "score" is new/],
  ['an output less', { outputs: [PROBABILITY, SCORE] }, BASE, true, /Output "score" is gone/],
  [
    'a renamed output',
    { outputs: [PROBABILITY, SCORE] },
    { outputs: [PROBABILITY, { ...SCORE, name: 'risk' }] },
    true,
    /"risk" may be its new name/,
  ],
  [
    'a renamed output tensor under the same name',
    { outputs: [{ ...PROBABILITY, name: 'prob_a' }] },
    { outputs: [{ ...PROBABILITY, name: 'prob_b' }] },
    true,
    /"prob_a" is called "prob_b" now/,
  ],
  [
    'a wider output',
    { outputs: [PROBABILITY, SCORE] },
    { outputs: [PROBABILITY, { ...SCORE, datatype: 'FP64' }] },
    false,
    /stay numbers/,
  ],
  [
    'text in place of a number',
    { outputs: [PROBABILITY, SCORE] },
    { outputs: [PROBABILITY, { ...SCORE, datatype: 'BYTES' }] },
    true,
    /"score" is BYTES and was FP32/,
  ],
  [
    'another output shape',
    { outputs: [PROBABILITY, SCORE] },
    { outputs: [PROBABILITY, { ...SCORE, shape: [-1, 4] }] },
    true,
    /has shape \[-1,4\]/,
  ],
  [
    'another meaning',
    { outputs: [{ ...SCORE, name: 'p' }], meanings: { p: 'value' } },
    { outputs: [{ ...SCORE, name: 'p' }], meanings: { p: 'label' } },
    true,
    /gone|means label/,
  ],
  [
    'a label more',
    BASE,
    { labels: ['ok', 'fraud', 'unsure'], outputs: [{ ...PROBABILITY, shape: [-1, 3] }] },
    true,
    /Label "unsure" may be answered/,
  ],
  ['another label', BASE, { labels: ['ok', 'stolen'] }, true, /"fraud" can no longer be answered/],
  [
    'labels in another order',
    BASE,
    { labels: ['fraud', 'ok'] },
    true,
    /another order \(fraud, ok; before: ok, fraud\)/,
  ],
  ['a feature service', BASE, { featureService: 'payments' }, true, /send its entity keys/],
  ['no feature service any more', { featureService: 'payments' }, BASE, true, /send every feature/],
  ['one row at a time', BASE, { batchAxis: null }, true, /one row at a time/],
  [
    'columns of a matrix in another order',
    { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }], features: ['a', 'b'] },
    { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }], features: ['b', 'a'] },
    true,
    /another order \(b, a\)/,
  ],
]

describe('callers of an endpoint', () => {
  it('see no difference between a version and itself', () => {
    expect(compareSignatures(view(BASE), view(BASE))).toEqual([])
  })

  it.each(CASES)('and %s', (_, now, next, isBreaking, text) => {
    const changes = compareSignatures(view(now), view(next))
    expect(changes.some((change) => change.isBreaking)).toBe(isBreaking)
    expect(
      changes
        .filter((change) => change.isBreaking === isBreaking)
        .map((change) => change.text)
        .join(' '),
    ).toMatch(text)
  })
})
