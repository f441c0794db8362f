// What was served and how it compares with the definitions. Who reads the log brings ServedVectors; this folder judges them.
import type { ValueGap, ValueSource } from '../serve/types.js'
import type { Value } from '../value.js'

/** One row as a version was given it. Everything by name; a name that is absent was not there. */
export interface ServedVector {
  /** The prediction, or `id#row` of one with several rows. */
  readonly predictionId: string
  readonly service: string
  /** The moment that windows ended at. */
  readonly atMs: number
  /** By key name. */
  readonly keys: Readonly<Record<string, Value>>
  /** By feature, as the service names it. */
  readonly values: Readonly<Record<string, Value>>
  readonly sources: Readonly<Record<string, ValueSource>>
  /** Why a default or last known value stands in; a name that is absent means `none`. `missing` and `expired` mean that there was no value, which is compared. */
  readonly gaps: Readonly<Record<string, ValueGap>>
  /** Milliseconds since the row's event time, where there was one. */
  readonly agesMs: Readonly<Record<string, number>>
  /** What the request brought for on-demand views. */
  readonly request: Readonly<Record<string, Value>>
}

export interface ErrorQuantiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** A served value that differs. Values as JSON has them: bigints as decimal text, vectors as lists. */
export interface VerifyExample {
  readonly predictionId: string
  readonly atMs: number
  readonly keys: Readonly<Record<string, unknown>>
  readonly served: unknown
  readonly offline: unknown
  /** What `relativeError` or `editDistance` is of the feature; 1 for values that are merely other ones. */
  readonly error: number
  readonly kind: 'mismatch' | 'missing' | 'extra' | 'late'
}

/** One feature of the service. `compared` = matched + mismatched + missing + extra + late. */
export interface FeatureVerification {
  readonly name: string
  readonly compared: number
  readonly matched: number
  /** Both have a value, and they differ. */
  readonly mismatched: number
  /** Offline has a value, what was served had none. */
  readonly missing: number
  /** Served had a value, offline has none. */
  readonly extra: number
  /** Differs from the definition at its moment, but is what it gave within `graceMs` (and the view's `every`) before: not taken in yet. */
  readonly late: number
  /** (matched + late) / compared; 1 where nothing was compared. */
  readonly matchRate: number
  /** Not compared: the store did not answer and a default stood in, a last known value did, or the request brought the value. */
  readonly defaults: number
  readonly lastKnown: number
  readonly given: number
  /** (defaults + lastKnown) / all of the feature's values. */
  readonly degradedShare: number
  /** |served - offline| / max(|served|, |offline|) of numbers that both have; of vectors, the largest difference over the largest component. */
  readonly relativeError: ErrorQuantiles | undefined
  /** Levenshtein distance of lists over the longer one's length. */
  readonly editDistance: ErrorQuantiles | undefined
  /** 1 - cosine of vectors. */
  readonly cosineDistance: ErrorQuantiles | undefined
  /** The worst, by `error`. */
  readonly examples: readonly VerifyExample[]
}

export interface VerifyReport {
  readonly service: string
  /** Of the vectors compared; undefined where there were none. */
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  /** Vectors of the service that were read, and those compared of them: when there are many, a sample by a hash of key and hour. */
  readonly vectors: number
  readonly checked: number
  /** Share of the keys' hours that were compared. */
  readonly sampleShare: number
  /** Vectors that cannot be compared, by reason: such as a key that is not valid any more. */
  readonly skipped: readonly { readonly reason: string; readonly vectors: number }[]
  readonly tolerance: number
  readonly graceMs: number
  readonly features: readonly FeatureVerification[]
  /** Of all compared values. */
  readonly matchRate: number
  readonly elapsedMs: number
}
