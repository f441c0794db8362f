import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../core/index.js'
import { pairedBootstrap } from './bootstrap.js'
import { delong, delongInterval } from './delong.js'
import { metricNamed } from './metrics.js'
import { normalQuantile } from './normal-quantile.js'
import type { MetricName, Predictions } from './types.js'

interface Case {
  readonly kind: 'classification' | 'regression'
  readonly classes: number
  readonly truth: number[]
  readonly predicted: number[]
  readonly probabilities: number[]
  readonly weights: number[]
  readonly expected: Readonly<Record<string, number>>
}

const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/metrics/metrics.json', import.meta.url), 'utf8'),
) as {
  readonly cases: Readonly<Record<string, Case>>
  readonly delong: readonly {
    truth: number[]
    first: number[]
    second: number[]
    aucs: [number, number]
    standardError: number
    low: number
    high: number
  }[]
  readonly normalQuantiles: readonly [number, number][]
}

function predictionsOf({ kind, classes, truth, predicted, probabilities }: Case): Predictions {
  if (kind === 'regression') return { kind, truth: Float64Array.from(truth), predicted: Float64Array.from(predicted) }
  return {
    kind,
    classes,
    positive: classes - 1,
    truth: Int32Array.from(truth),
    predicted: Int32Array.from(predicted),
    probabilities: Float64Array.from(probabilities),
  }
}

function binary(truth: number[], scores: number[]): Predictions {
  return {
    kind: 'classification',
    classes: 2,
    positive: 1,
    truth: Int32Array.from(truth),
    predicted: Int32Array.from(scores, (score) => (score >= 0.5 ? 1 : 0)),
    probabilities: Float64Array.from(scores.flatMap((score) => [1 - score, score])),
  }
}

describe.each(Object.entries(fixture.cases))('of %s', (_, given) => {
  it.each(Object.entries(given.expected))('%s is what scikit-learn says', (name, expected) => {
    const found = metricNamed(name as MetricName).prepare(predictionsOf(given))(Float64Array.from(given.weights))
    expect(found).toBeCloseTo(expected, 10)
  })
})

describe('metrics', () => {
  it('say NaN where they are not defined: AUC and average precision of one class, R² of one truth', () => {
    const one = binary([0, 0, 0], [0.1, 0.2, 0.9])
    const weights = new Float64Array(3).fill(1)
    expect(metricNamed('auc').prepare(one)(weights)).toBeNaN()
    expect(metricNamed('averagePrecision').prepare(one)(weights)).toBeNaN()
    const values: Predictions = {
      kind: 'regression',
      truth: new Float64Array(3).fill(7),
      predicted: Float64Array.of(6, 7, 8),
    }
    expect(metricNamed('r2').prepare(values)(weights)).toBeNaN()
  })

  it('of rows with weight 2 are those of the rows twice', () => {
    const { cases } = fixture
    for (const given of [cases['two classes, ties']!, cases['three classes']!, cases['numbers']!]) {
      const twice = (list: readonly number[], of = 1) => list.concat(...[list.slice(0, 10 * of)]) as number[]
      const doubled = {
        ...given,
        truth: twice(given.truth),
        predicted: twice(given.predicted),
        probabilities: given.probabilities && twice(given.probabilities, given.classes),
      }
      const weights = Float64Array.from(given.truth, (_, i) => (i < 10 ? 2 : 1))
      for (const name of Object.keys(given.expected)) {
        const metric = metricNamed(name as MetricName)
        const weighted = metric.prepare(predictionsOf(given))(weights)
        expect(metric.prepare(predictionsOf(doubled))(new Float64Array(doubled.truth.length).fill(1))).toBeCloseTo(
          weighted,
          10,
        )
      }
    }
  })
})

describe('DeLong', () => {
  it.each(fixture.delong)(
    'agrees with every pair compared',
    ({ truth, first, second, aucs, standardError, low, high }) => {
      const found = delong(Uint8Array.from(truth), Float64Array.from(first), Float64Array.from(second))!
      expect(found.first).toBeCloseTo(aucs[0], 12)
      expect(found.second).toBeCloseTo(aucs[1], 12)
      expect(found.standardError).toBeCloseTo(standardError, 10)
      const interval = delongInterval(found, 0.95)
      expect(interval.low).toBeCloseTo(low, 8)
      expect(interval.high).toBeCloseTo(high, 8)
    },
  )

  it('has nothing to say of one class', () => {
    expect(delong(new Uint8Array(3), new Float64Array(3), new Float64Array(3))).toBeUndefined()
  })

  it('knows the quantiles of the normal distribution', () => {
    for (const [p, expected] of fixture.normalQuantiles) expect(normalQuantile(p)).toBeCloseTo(expected, 7)
  })
})

describe('the paired bootstrap', () => {
  const weights = new Float64Array(400).fill(1)
  const mean = (values: Float64Array) => (under: Float64Array) => {
    let [sum, all] = [0, 0]
    for (let i = 0; i < values.length; i++) {
      sum += under[i]! * values[i]!
      all += under[i]!
    }
    return sum / all
  }

  it('covers the true difference of two means in about as many samples as it says', () => {
    const random = seededRandom(5)
    const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
    let covered = 0
    const samples = 200
    for (let sample = 0; sample < samples; sample++) {
      const shared = Float64Array.from({ length: 100 }, normal)
      const first = shared.map((value) => value + 0.3 + 0.5 * normal())
      const second = shared.map((value) => value + 0.5 * normal())
      const found = pairedBootstrap(mean(first), mean(second), weights.subarray(0, 100), {
        confidence: 0.9,
        random,
        draws: 300,
      })!
      if (found.low <= 0.3 && found.high >= 0.3) covered++
    }
    expect(covered / samples).toBeGreaterThan(0.84)
    expect(covered / samples).toBeLessThan(0.96)
  })

  it('repeats with the same seed, and has width 0 for what is the same everywhere', () => {
    const values = Float64Array.from({ length: 400 }, (_, i) => i % 7)
    const run = () => pairedBootstrap(mean(values), undefined, weights, { confidence: 0.95, random: seededRandom(3) })
    expect(run()).toEqual(run())
    const same = pairedBootstrap(mean(values), mean(values), weights, { confidence: 0.95, random: seededRandom(3) })
    expect(same).toMatchObject({ estimate: 0, low: 0, high: 0 })
  })

  it('is undefined when the metric is not defined on most draws', () => {
    const truth = [1, ...new Array<number>(19).fill(0)]
    const metric = metricNamed('auc').prepare(
      binary(
        truth,
        truth.map((_, i) => i / 20),
      ),
    )
    const found = pairedBootstrap(metric, undefined, new Float64Array(20).fill(1), {
      confidence: 0.95,
      random: seededRandom(1),
    })
    expect(found).toBeUndefined()
  })
})
