// What is counted of one feature while vectors are compared.
import type { ServiceFeature } from '../compiled.js'
import type { Value, ValueType } from '../value.js'
import type { Difference } from './difference.js'
import { quantileOf } from './distances.js'
import type { ErrorQuantiles, FeatureVerification, ServedVector, VerifyExample } from './types.js'

export class FeatureTally {
  matched = 0
  mismatched = 0
  missing = 0
  extra = 0
  late = 0
  defaults = 0
  lastKnown = 0
  given = 0
  readonly #feature: ServiceFeature
  readonly #examples: number
  #worst: VerifyExample[] = []
  readonly #relative = new Distances()
  readonly #edit = new Distances()
  readonly #cosine = new Distances()

  constructor(feature: ServiceFeature, examples: number) {
    this.#feature = feature
    this.#examples = examples
  }

  /** Equal values count as distance 0, so that quantiles are over all that both sides have. */
  match(type: ValueType, value: Value): void {
    this.matched++
    if (value === null) return
    if (type.startsWith('float32[')) {
      this.#relative.zero()
      this.#cosine.zero()
    } else if (type.endsWith('[]')) this.#edit.zero()
    else if (type === 'float64' || type === 'float32' || type === 'int64' || type === 'int32') this.#relative.zero()
  }

  differ(vector: ServedVector, difference: Difference, isLate: boolean): void {
    if (isLate) this.late++
    else if (difference.kind === 'missing') this.missing++
    else if (difference.kind === 'extra') this.extra++
    else this.mismatched++
    if (!isLate) {
      if (difference.relativeError !== undefined) this.#relative.add(difference.relativeError)
      if (difference.editDistance !== undefined) this.#edit.add(difference.editDistance)
      if (difference.cosineDistance !== undefined) this.#cosine.add(difference.cosineDistance)
    }
    const error = difference.relativeError ?? difference.editDistance ?? 1
    const kind = isLate ? 'late' : difference.kind
    const worst = [
      ...this.#worst,
      {
        predictionId: vector.predictionId,
        atMs: vector.atMs,
        keys: Object.fromEntries(Object.entries(vector.keys).map(([name, value]) => [name, plain(value)])),
        served: plain(difference.served),
        offline: plain(difference.offline),
        error,
        kind,
      } satisfies VerifyExample,
    ]
    // Late ones come last: they are explained.
    worst.sort((a, b) => Number(a.kind === 'late') - Number(b.kind === 'late') || b.error - a.error)
    this.#worst = worst.slice(0, this.#examples)
  }

  report(): FeatureVerification {
    const compared = this.matched + this.mismatched + this.missing + this.extra + this.late
    const degraded = this.defaults + this.lastKnown
    const all = compared + degraded + this.given
    return {
      name: this.#feature.name,
      compared,
      matched: this.matched,
      mismatched: this.mismatched,
      missing: this.missing,
      extra: this.extra,
      late: this.late,
      matchRate: compared === 0 ? 1 : (this.matched + this.late) / compared,
      defaults: this.defaults,
      lastKnown: this.lastKnown,
      given: this.given,
      degradedShare: all === 0 ? 0 : degraded / all,
      relativeError: this.#relative.quantiles(),
      editDistance: this.#edit.quantiles(),
      cosineDistance: this.#cosine.quantiles(),
      examples: this.#worst,
    }
  }
}

/** Zeros are only counted: nearly all are. */
class Distances {
  #zeros = 0
  readonly #above: number[] = []

  zero(): void {
    this.#zeros++
  }

  add(distance: number): void {
    this.#above.push(distance)
  }

  quantiles(): ErrorQuantiles | undefined {
    const n = this.#zeros + this.#above.length
    if (n === 0) return undefined
    const sorted = new Float64Array(n)
    sorted.set(this.#above, this.#zeros)
    sorted.sort()
    return {
      p50: quantileOf(sorted, 0.5),
      p90: quantileOf(sorted, 0.9),
      p99: quantileOf(sorted, 0.99),
      max: sorted[n - 1]!,
    }
  }
}

/** As JSON has it. */
function plain(value: Value): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Float32Array) return Array.from(value)
  if (Array.isArray(value)) return value.map((item: Value) => plain(item))
  return value
}
