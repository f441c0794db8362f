// Rows that show a wrong conversion if there is one: exactly on thresholds and beside them, between them, missing, infinite,
// categories that were never seen, and what is nearly zero.
import type { Random } from '../../core/index.js'
import { stepsOf, type TreeEnsemble } from '../../formats/index.js'

const MAX_POINTS = 5_000
const SPECIAL = [
  Number.NaN,
  0,
  -0,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  1e-35,
  -1e-35,
  1e-45,
  -1,
  1,
  3.4e38,
  -3.4e38,
  0.5,
  2 ** 24,
]

/** The points where splits by each feature change sides; of very many a part. */
export type Points = ReadonlyMap<number, readonly number[]>

export function pointsOf(ensemble: TreeEnsemble): Points {
  const points = new Map<number, number[]>()
  for (const tree of ensemble.trees) {
    for (let split = 0; split < tree.feature.length; split++) {
      const feature = tree.feature[split]!
      const known = points.get(feature) ?? []
      points.set(feature, known)
      if (known.length < MAX_POINTS) for (const bound of stepsOf(tree, split, ensemble.rules).bounds) known.push(bound)
    }
  }
  return points
}

/** Fills `row`; features that nothing splits by stay 0. */
export function generateRow(row: Float32Array, points: Points, random: Random): void {
  row.fill(0)
  for (const [feature, known] of points) row[feature] = generateValue(known, random)
}

function generateValue(known: readonly number[], random: Random): number {
  const way = random.next()
  if (known.length === 0 || way < 0.1) return SPECIAL[random.uint32() % SPECIAL.length]!
  const point = Math.fround(known[random.uint32() % known.length]!)
  if (way < 0.35) return point
  if (way < 0.6) return beside(point, random.next() < 0.5 ? 1 : -1)
  if (way < 0.7) return Math.floor(point + random.next() * 4 - 2)
  const other = Math.fround(known[random.uint32() % known.length]!)
  return point + (other - point) * random.next()
}

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** The float32 next to a number, away from zero (1) or towards it (-1). */
function beside(value: number, direction: number): number {
  float[0] = value
  if (value === 0 || !Number.isFinite(value)) return direction * 1e-45
  bits[0]! += direction
  return float[0]!
}
