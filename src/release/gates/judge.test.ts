import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../core/index.js'
import { evaluationSchema } from './config.js'
import { fitCostLine, recommendBatchSize } from './cost-line.js'
import { type JudgedRows, judge } from './judge.js'

const ROWS = 2000

/** Scores of two models for the same rows: the candidate's are as noisy as said, the champion's by 1. */
function world(
  noise: number,
  { rows = ROWS, worseIn, seed = 7 }: { rows?: number; worseIn?: string; seed?: number } = {},
): JudgedRows {
  const random = seededRandom(seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
  const values = ['DE', 'PL', 'XX']
  const of = Int32Array.from({ length: rows }, (_, i) => (i % 100 === 0 ? 2 : i % 2))
  const truth = Int32Array.from({ length: rows }, () => (random.next() < 0.4 ? 1 : 0))
  const predictions = (spread: (row: number) => number) => {
    const probabilities = new Float64Array(2 * rows)
    const predicted = new Int32Array(rows)
    for (let i = 0; i < rows; i++) {
      const p = 1 / (1 + Math.exp(-(2 * truth[i]! - 1 + spread(i) * normal())))
      probabilities[2 * i] = 1 - p
      probabilities[2 * i + 1] = p
      predicted[i] = p >= 0.5 ? 1 : 0
    }
    return { kind: 'classification' as const, classes: 2, positive: 1, truth, predicted, probabilities }
  }
  return {
    candidate: predictions((row) => (worseIn !== undefined && values[of[row]!] === worseIn ? 6 : noise)),
    champion: predictions(() => 1),
    weights: new Float64Array(rows).fill(1),
    isWeighted: false,
    slices: [{ column: 'country', values, of }],
  }
}

const settings = (more: object) => evaluationSchema.parse({ dataset: 'holdout', metric: 'auc', ...more })

describe('an evaluation', () => {
  it('passes a version as good as the champion, and fails one that is shown to be worse, with the numbers', () => {
    expect(judge(world(1), settings({ tolerance: 0.02 })).failures).toEqual([])
    const { failures, overall } = judge(world(3), settings({ tolerance: 0.02 }))
    expect(failures[0]).toMatch(
      /^It is worse than the champion: auc is 0\.6\d+ against 0\.9\d+ on 2000 rows \(difference -0\.\d+, 95 % interval -0\.\d+ to -0\.\d+, DeLong; tolerance 0\.02\)\.$/,
    )
    expect(overall.comparison!.high).toBeLessThan(-0.02)
  })

  it('with too few rows to tell: "shown" lets it pass and says so, "excluded" does not let it pass', () => {
    const few = world(1, { rows: 60, seed: 3 })
    const shown = judge(few, settings({ tolerance: 0.01 }))
    expect(shown.failures).toEqual([])
    expect(shown.doubts.join(' ')).toMatch(/do not exclude that it is worse by more than 0\.01/)
    const excluded = judge(few, settings({ tolerance: 0.01, strictness: 'excluded' }))
    expect(excluded.failures[0]).toMatch(/^It may be worse than the champion/)
  })

  it('holds limits against the value, or against the worse end of its interval', () => {
    const { candidate } = judge(world(1), settings({})).overall
    expect(judge(world(1), settings({ atLeast: candidate! - 0.001 })).failures).toEqual([])
    expect(judge(world(1), settings({ atLeast: candidate! + 0.001 })).failures[0]).toMatch(/must be at least/)
    const strict = judge(world(1), settings({ atLeast: candidate! - 0.001, strictness: 'excluded' }))
    expect(strict.failures[0]).toMatch(/and may be 0\.\d+, and must be at least/)
  })

  it('finds the slice that is worse although the whole is within tolerance, and names slices that are too small', () => {
    const found = judge(world(0.9, { worseIn: 'PL' }), settings({ tolerance: 0.5 }))
    expect(found.failures).toEqual([])
    const strict = judge(world(0.9, { worseIn: 'PL' }), settings({ tolerance: 0.25 }))
    expect(strict.overall.isWorse).toBe(false)
    expect(strict.failures).toHaveLength(1)
    expect(strict.failures[0]).toMatch(/^In country = PL auc is/)
    // Two slices share the 5 %.
    expect(strict.slices.map(({ comparison }) => comparison!.confidence)).toEqual([0.975, 0.975])
    expect(strict.tooSmall).toEqual([{ column: 'country', value: 'XX', rows: 20 }])
  })

  it('says that AUC is not defined in a slice of one class, and judges the others', () => {
    const rows = world(1)
    const { truth } = rows.candidate as { truth: Int32Array }
    for (let i = 0; i < ROWS; i++) if (rows.slices[0]!.of[i] === 0) truth[i] = 0
    const found = judge(rows, settings({ tolerance: 0.3 }))
    expect(found.doubts).toContain('country = DE: auc is not defined: all rows are of one class.')
    expect(found.slices.find(({ value }) => value === 'PL')!.candidate).toBeGreaterThan(0.5)
  })

  it('skips a metric that the version gives no numbers for', () => {
    const { champion: _, ...rest } = world(1)
    const candidate = { ...(rest.candidate as object), probabilities: undefined } as JudgedRows['candidate']
    const found = judge({ ...rest, champion: undefined, candidate }, settings({ metric: 'logLoss', atMost: 1 }))
    expect(found).toMatchObject({ isSkipped: true, failures: [] })
    expect(found.doubts).toEqual(['"logLoss" needs probabilities, and the version gives none.'])
    const accuracy = judge(
      { ...rest, champion: undefined, candidate },
      settings({ metric: 'accuracy', atLeast: 0.5, tolerance: 0 }),
    )
    expect(accuracy.failures).toEqual([])
    expect(accuracy.doubts).toEqual(['Not compared with the champion: there is no champion to compare with'])
  })

  it('is wrong about an equal version no more often than its confidence allows, over all slices', () => {
    let wrong = 0
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed)
      const rows = 400
      const truth = Float64Array.from({ length: rows }, () => random.next())
      const predicted = () => truth.map((value) => value + random.next() - 0.5)
      const found = judge(
        {
          candidate: { kind: 'regression', truth, predicted: predicted() },
          champion: { kind: 'regression', truth, predicted: predicted() },
          weights: new Float64Array(rows).fill(1),
          isWeighted: false,
          slices: [
            { column: 'c', values: ['a', 'b', 'c', 'd'], of: Int32Array.from({ length: rows }, (_, i) => i % 4) },
          ],
        },
        settings({ metric: 'mae', tolerance: 0, confidence: 0.9 }),
      )
      if (found.failures.length > 0) wrong++
    }
    // At most 5 % overall and 5 % by slices, on one side; 30 × 0.1 = 3, and chance.
    expect(wrong).toBeLessThanOrEqual(8)
  }, 60_000)
})

describe('the cost line', () => {
  it('is the line that exact runs lie on, and recommends a size whose rows pay little for the run', () => {
    const runs = [1, 2, 4, 8, 16].flatMap((rows) => [0, 0, 0].map(() => ({ rows, ms: 0.05 * rows + 0.4 })))
    const line = fitCostLine(runs)!
    expect(line.rowMs).toBeCloseTo(0.05, 10)
    expect(line.fixedMs).toBeCloseTo(0.4, 10)
    expect(line.worstResidual).toBeCloseTo(0, 10)
    // 0.4 / 128 is less than a tenth of 0.05.
    expect(recommendBatchSize(line)).toBe(128)
    expect(fitCostLine([{ rows: 1, ms: 1 }])).toBeUndefined()
  })

  it('has no negative part', () => {
    const line = fitCostLine([1, 2, 4].map((rows) => ({ rows, ms: 5 - rows })))!
    expect(line.rowMs).toBe(0)
    const steep = fitCostLine([1, 2, 4].map((rows) => ({ rows, ms: rows * rows })))!
    expect(steep.fixedMs).toBe(0)
  })
})
