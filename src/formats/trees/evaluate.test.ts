import { describe, expect, it } from 'vitest'
import { treeCases } from '../../../test/support/tree-cases.js'
import { evaluateRow } from './evaluate.js'
import { readTrees } from './read.js'

describe('the evaluator answers as the library that trained the model', () => {
  const cases = treeCases()

  it('for every objective, booster and option there is a fixture of', () => {
    expect(cases.length).toBeGreaterThanOrEqual(55)
  })

  it.each(cases)('$name', ({ bytes, rows, predictions }) => {
    const ensemble = readTrees(bytes)
    for (const [i, row] of rows.entries()) {
      const { margins, values } = evaluateRow(ensemble, row)
      const expected = predictions[i]!
      if (ensemble.objective === 'multi:softmax')
        expect(margins.indexOf(Math.max(...margins)), `row ${i}`).toBe(expected[0])
      else if (ensemble.task === 'sign') expect(margins[0]! > 0 ? 1 : 0, `row ${i}`).toBe(expected[0])
      else {
        expect(values.length).toBe(expected.length)
        for (const [j, value] of values.entries()) {
          expect(
            Math.abs(value - expected[j]!),
            `row ${i}: ${value} and not ${expected[j]}; ${row}`,
          ).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(expected[j]!)))
        }
      }
    }
  })
})
