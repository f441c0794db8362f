// Features at request time: one plan per endpoint (the union of its versions' services), one round trip per request.
import type { HeadraceError } from '../../core/index.js'
import type { CompiledKey, CompiledService } from '../compiled.js'
import type { Value, ValueType } from '../value.js'

/** Where a served value came from. `last-known` and `default` are answers for want of a better one, and are flagged. */
export type ValueSource = 'online' | 'on-demand' | 'request' | 'last-known' | 'default'

/** Why a value is not the store's. */
export type ValueGap = 'none' | 'missing' | 'expired' | 'timeout' | 'store-down' | 'no-key' | 'failed'

export interface PlannedFeature {
  readonly name: string
  readonly type: ValueType
  /** The services that mean this by the name. */
  readonly services: readonly string[]
}

/** What a set of services needs and gives, compiled once. */
export interface ReadPlan {
  readonly services: readonly CompiledService[]
  readonly keys: readonly CompiledKey[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  /** Every feature of every service, once; where two services mean different things by one name, that name comes twice. */
  readonly features: readonly PlannedFeature[]
  /** Where a service's features stand in `features`, by name. */
  columnsOf(service: string): ReadonlyMap<string, number>
}

export type EntityValue = string | number | bigint

/** The rows of a request, by column. */
export interface FeatureRequest {
  readonly rows: number
  /** Per key name: a value per row. Undefined entries have none: the views that need it have no entity. */
  readonly keys: ReadonlyMap<string, readonly (EntityValue | undefined)[]>
  /**
   * Values that the request brings, by name and row: inputs of on-demand views, and features that override the store's. undefined: the
   * request says nothing of this row; null: it says that there is none. Not yet checked.
   */
  readonly given: ReadonlyMap<string, readonly unknown[]>
  /** Wall-clock moment that windows end at and ages are counted to. */
  readonly atMs: number
  /** Longest that the store is waited for; one that answers at once is not. */
  readonly budgetMs: number
  /** Number of its first row in messages, when these are some rows of more. Default 0. */
  readonly firstRow?: number
  /** How old a reading may be that answers while the store does not; 0 for none. Default one hour. */
  readonly lastKnownMs?: number | undefined
  /** A service that lacks a key or an input is left to `ServedFeatures.lacking`, even when every one of them does. Default false. */
  readonly mayLack?: boolean
}

/** Values as served: column by feature of the plan, each with one entry per row. Lists may be shared between columns. */
export interface ServedFeatures {
  readonly plan: ReadPlan
  readonly rows: number
  readonly atMs: number
  readonly values: readonly (readonly Value[])[]
  readonly sources: readonly (readonly ValueSource[])[]
  readonly gaps: readonly (readonly ValueGap[])[]
  /** Milliseconds since the row's event time; undefined where that means nothing. */
  readonly agesMs: readonly (readonly (number | undefined)[])[]
  /** Some value is a default. */
  readonly hasDefaults: boolean
  /** Some value is the last known one. */
  readonly hasLastKnown: boolean
  /** Some value is not what the store (or the request) says: one of the above. */
  readonly isDegraded: boolean
  /** What a service was not given (FEATURE_KEY_MISSING, FEATURE_REQUEST_MISSING), by its name: its values are not to be used. */
  readonly lacking: ReadonlyMap<string, HeadraceError>
  /** As the request brought them, for the log and for checks. */
  readonly keys: FeatureRequest['keys']
  /** Checked values of `plan.request`, by name; those that did not come are absent. */
  readonly request: ReadonlyMap<string, readonly (Value | undefined)[]>
}

export interface FeatureReader {
  /** Throws FEATURE_SERVICE_UNKNOWN. Cached by names. */
  plan(services: readonly string[]): ReadPlan
  /** True for the name of a key of some entity of the project. */
  hasKey(name: string): boolean
  /** Throws FEATURE_KEY_UNKNOWN for a name that is no key of the project. */
  checkKeyName(name: string): void
  /**
   * Throws FEATURE_KEY_…, FEATURE_REQUEST_… and FEATURE_VALUE_TYPE for the caller's mistakes only: never because the store fails. Answers
   * at once when the store does.
   */
  read(plan: ReadPlan, request: FeatureRequest): ServedFeatures | Promise<ServedFeatures>
}
