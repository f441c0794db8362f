// Features at request time: one plan per endpoint (the union of its versions' services), one round trip per request.
import type { CompiledKey, CompiledService } from '../compiled.js'
import type { Value, ValueType } from '../value.js'

/** Where a served value came from. `last-known` and `default` are answers for want of a better one, and are flagged. */
export type ValueSource = 'online' | 'on-demand' | 'request' | 'last-known' | 'default'

/** Why a value is not the store's. */
export type ValueGap = 'none' | 'missing' | 'expired' | 'timeout' | 'store-down' | 'no-key' | 'failed'

/** What a set of services needs and gives, compiled once. */
export interface ReadPlan {
  readonly services: readonly CompiledService[]
  readonly keys: readonly CompiledKey[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  /** Every feature of every service, once. */
  readonly features: readonly { readonly name: string; readonly type: ValueType }[]
}

/** The rows of a request, by column. */
export interface FeatureRequest {
  readonly rows: number
  /** Per key name: a value per row, or one for all. Undefined entries have none: the views that need it have no entity. */
  readonly keys: ReadonlyMap<string, readonly (string | number | bigint | undefined)[]>
  /** Values that the request brings, by name: inputs of on-demand views, and features that override the store's. */
  readonly given: ReadonlyMap<string, readonly Value[]>
  /** Wall-clock moment that windows end at and ages are counted to. */
  readonly atMs: number
  readonly budgetMs: number
}

/** Values as served: column by feature of the plan, each with one entry per row. */
export interface ServedFeatures {
  readonly plan: ReadPlan
  readonly rows: number
  readonly atMs: number
  readonly values: readonly (readonly Value[])[]
  readonly sources: readonly (readonly ValueSource[])[]
  readonly gaps: readonly (readonly ValueGap[])[]
  /** Milliseconds since the row's event time; undefined where that means nothing. */
  readonly agesMs: readonly (readonly (number | undefined)[])[]
  /** Some value is not what the store (or the request) says. */
  readonly isDegraded: boolean
  /** Encoded key per row, by key name, for the log and for checks. */
  readonly keys: FeatureRequest['keys']
}

export interface FeatureReader {
  /** Throws FEATURE_SERVICE_UNKNOWN, FEATURE_SERVICES_CLASH. Cached by names. */
  plan(services: readonly string[]): ReadPlan
  /** Throws (or rejects with) FEATURE_KEY_… and FEATURE_REQUEST_… for the caller's mistakes only: never because the store fails. */
  read(plan: ReadPlan, request: FeatureRequest): ServedFeatures | Promise<ServedFeatures>
}
