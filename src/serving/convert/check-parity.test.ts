import { describe, expect, it } from 'vitest'
import { treeFile } from '../../../test/support/tree-cases.js'
import { evaluateRow, readTrees, type TreeEnsemble } from '../../formats/index.js'
import { checkParity, type ParityRun } from './check-parity.js'

/** As a converted model would answer whose trees are these. */
function runOf(ensemble: TreeEnsemble): ParityRun {
  return (features, rows) => {
    const size = ensemble.featureCount
    const values = Array.from({ length: rows }, (_, i) => {
      return evaluateRow(ensemble, features.subarray(i * size, (i + 1) * size)).values
    })
    return { numbers: Float32Array.from(values.flatMap((row) => [...row])), labels: undefined }
  }
}

const model = (): TreeEnsemble => readTrees(treeFile('lightgbm-regression.txt'))

describe('checkParity', () => {
  it('finds no difference where there is none', () => {
    expect(checkParity(model(), runOf(model()))).toEqual({ rows: 4096, difference: undefined })
  })

  it.each<[string, (ensemble: TreeEnsemble) => void]>([
    ['a threshold that is off by the next float32', ({ trees }) => (trees[1]!.threshold[0]! *= 1 + 2 ** -22)],
    ['missing values that go the other way', ({ trees }) => trees.map(({ defaultLeft }) => defaultLeft.fill(1))],
    ['branches that are swapped', ({ trees }) => trees[2]!.right.reverse()],
    ['a leaf that is off by a thousandth', ({ trees }) => (trees[0]!.leaves[0]! += 1e-3)],
    ['another base', ({ base }) => (base[0] = 0.01)],
  ])('finds %s', (_, change) => {
    const changed = model()
    change(changed)
    const { difference } = checkParity(model(), runOf(changed))
    expect(difference).toMatchObject({ output: 'value' })
    expect(difference!.row.split(',')).toHaveLength(6)
  })

  it.each([1e-9, 1e9])('measures by the size of the answers: leaves times %s', (factor) => {
    const scaled = (): TreeEnsemble => {
      const ensemble = model()
      for (const { leaves } of ensemble.trees) for (let i = 0; i < leaves.length; i++) leaves[i]! *= factor
      return ensemble
    }
    expect(checkParity(scaled(), runOf(scaled())).difference).toBeUndefined()
    const changed = scaled()
    changed.trees[0]!.leaves[0]! *= 1.001
    expect(checkParity(scaled(), runOf(changed)).difference).toBeDefined()
  })
})
