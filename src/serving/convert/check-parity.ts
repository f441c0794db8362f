// Compares a converted model, run by ONNX Runtime, with what the original's trees say by their own library's rules.
import { seededRandom } from '../../core/index.js'
import { evaluateRow, type TreeEnsemble } from '../../formats/index.js'
import { generateRow, pointsOf } from './generate-rows.js'

const MAX_ROWS = 4_096
const MAX_CELLS = 4_000_000
const MAX_STEPS = 20_000_000
const BATCH_ROWS = 256

/** Sums of float32 differ in their last digits by the order of the terms: this share of the largest terms that there can be. */
const ROUNDING = 2 ** -20
/** The runtime's exponentials are approximations. */
const APPROXIMATION = 2e-6

/** What a batch of rows is answered: numbers, classes or both. */
export interface ParityAnswer {
  readonly numbers: Float32Array | undefined
  readonly labels: BigInt64Array | undefined
}

export type ParityRun = (features: Float32Array, rows: number) => ParityAnswer

export interface Difference {
  readonly output: string
  readonly expected: number
  readonly actual: number
  /** The features of the row, as text; of many the first. */
  readonly row: string
}

export interface Parity {
  readonly rows: number
  /** The worst of the rows that differ by more than rounding does. */
  readonly difference: Difference | undefined
}

export function checkParity(ensemble: TreeEnsemble, run: ParityRun): Parity {
  const { featureCount, trees } = ensemble
  const rows = Math.max(
    64,
    Math.min(MAX_ROWS, Math.floor(MAX_CELLS / featureCount), Math.floor(MAX_STEPS / Math.max(1, trees.length))),
  )
  const points = pointsOf(ensemble)
  const random = seededRandom(1)
  const rounding = roundingOf(ensemble)
  let worst: { difference: Difference; excess: number } | undefined
  for (let done = 0; done < rows; done += BATCH_ROWS) {
    const count = Math.min(BATCH_ROWS, rows - done)
    const features = new Float32Array(count * featureCount)
    const each = Array.from({ length: count }, (_, i) => features.subarray(i * featureCount, (i + 1) * featureCount))
    for (const row of each) generateRow(row, points, random)
    // The first row of all has nothing in it.
    if (done === 0) each[0]!.fill(Number.NaN)
    const answered = run(features, count)
    for (const [i, row] of each.entries()) {
      const found = compareRow(ensemble, row, i, answered, rounding)
      if (found && found.excess > (worst?.excess ?? 0)) worst = found
    }
  }
  return { rows, difference: worst?.difference }
}

/** How much of a margin rounding may take: it grows with what is added up, not with what comes out. */
function roundingOf({ trees, base }: TreeEnsemble): number {
  const sizes = Float64Array.from(base, Math.abs)
  for (const { leaves, output } of trees) {
    let largest = 0
    for (const leaf of leaves) largest = Math.max(largest, Math.abs(leaf))
    sizes[output]! += largest
  }
  return ROUNDING * sizes.reduce((largest, size) => Math.max(largest, size), 0)
}

/** How far an answer may lie from the exact one when its margins are off by `rounding`. */
function allowedFor({ link }: TreeEnsemble, expected: number, rounding: number): number {
  switch (link.kind) {
    case 'identity':
      return rounding
    case 'sigmoid':
      return rounding * link.scale + APPROXIMATION
    case 'softmax':
      return 2 * rounding + APPROXIMATION
    case 'exp':
    case 'softplus':
      return (
        (rounding + APPROXIMATION) * Math.abs(expected) +
        (link.kind === 'exp' ? 2 ** -126 : rounding + APPROXIMATION / 10)
      )
    case 'signedSquare':
      // No margin is larger than the terms together.
      return (2 * rounding * rounding) / ROUNDING
  }
}

function compareRow(
  ensemble: TreeEnsemble,
  row: Float32Array,
  index: number,
  { numbers, labels }: ParityAnswer,
  rounding: number,
): { difference: Difference; excess: number } | undefined {
  const { task } = ensemble
  const { margins, values } = evaluateRow(ensemble, row)
  const different = (output: string, exact: number, actual: number) => {
    const expected = Math.fround(exact)
    if (Object.is(expected, actual) || expected === actual) return undefined
    const excess = Math.abs(expected - actual) / allowedFor(ensemble, expected, rounding)
    if (excess <= 1) return undefined
    const isLost = Number.isNaN(excess)
    return { difference: { output, expected, actual, row: describe(row) }, excess: isLost ? Number.MAX_VALUE : excess }
  }
  const expected = task === 'binary' ? [1 - values[0]!, values[0]!] : values
  if (numbers) {
    for (let j = 0; j < expected.length; j++) {
      const found = different(
        task === 'value' ? 'value' : `the probability of class ${j}`,
        expected[j]!,
        numbers[index * expected.length + j]!,
      )
      if (found) return found
    }
  }
  if (labels) {
    const width = task === 'sign' ? margins.length : 1
    for (let j = 0; j < width; j++) {
      const label = Number(labels[index * width + j])
      const wanted = wantedLabel(ensemble, margins, label, j, rounding)
      if (wanted !== undefined)
        return {
          difference: { output: 'label', expected: wanted, actual: label, row: describe(row) },
          excess: Number.MAX_VALUE,
        }
    }
  }
  return undefined
}

/** The right label when the one given is wrong by more than rounding explains. */
function wantedLabel(
  { task }: TreeEnsemble,
  margins: Float64Array,
  label: number,
  output: number,
  rounding: number,
): number | undefined {
  if (task === 'classes') {
    const best = margins.indexOf(Math.max(...margins))
    const lost = margins[best]! - (margins[label] ?? Number.NEGATIVE_INFINITY)
    return lost <= 2 * rounding ? undefined : best
  }
  const margin = margins[output]!
  const wanted = margin > 0 ? 1 : 0
  return label === wanted || Math.abs(margin) <= rounding + APPROXIMATION ? undefined : wanted
}

function describe(row: Float32Array): string {
  const shown = [...row.subarray(0, 20)].map(String).join(', ')
  return row.length > 20 ? `[${shown}, … ${row.length} in all]` : `[${shown}]`
}
