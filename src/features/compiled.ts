// Definitions after checking: what everything else works with. Made once by compileFeatures, never changed.

import type { Entity } from './definitions/entity.js'
import type { Expectation } from './definitions/expectation.js'
import type { AggregationSpec, EventRow } from './definitions/feature.js'
import type { OnDemandView } from './definitions/on-demand.js'
import type { FeatureService } from './definitions/service.js'
import type { BatchSource, Source, StreamSource } from './definitions/source.js'
import type { FeatureView } from './definitions/view.js'
import type { KeyType, Value, ValueType } from './value.js'

export interface CompiledKey {
  readonly name: string
  readonly type: KeyType
}

export interface CompiledFeature {
  readonly name: string
  readonly type: ValueType
  /** Checked against the type; null where none was declared. */
  readonly fallback: Value
  readonly description: string
  readonly tags: readonly string[]
}

export interface ColumnFeature extends CompiledFeature {
  readonly kind: 'column'
  readonly column: string
}

export interface WindowFeature extends CompiledFeature {
  readonly kind: 'aggregation'
  readonly column: string | undefined
  readonly spec: AggregationSpec
  readonly windowMs: number
  readonly where: ((row: EventRow) => boolean) | undefined
}

interface CompiledBase {
  readonly name: string
  readonly version: number
  /** `name@version`: names what is stored. */
  readonly table: string
  /** Of all entities, in their order. At least one. */
  readonly keys: readonly CompiledKey[]
  readonly source: BatchSource | undefined
  readonly stream: StreamSource | undefined
  /** Columns of the source that are read, beside keys and times. */
  readonly columns: readonly string[]
  /** Of what gives values a meaning (not descriptions or defaults): a changed definition has another one. SHA-256, hex. */
  readonly fingerprint: string
  readonly everyMs: number | undefined
  readonly online: boolean
  readonly expectations: readonly Expectation[]
  readonly definition: FeatureView
}

/** The newest row per key, as of a moment. */
export interface CompiledRowView extends CompiledBase {
  readonly kind: 'rows'
  readonly features: readonly ColumnFeature[]
  readonly ttlMs: number | undefined
}

/** Aggregations over windows of events per key. */
export interface CompiledWindowView extends CompiledBase {
  readonly kind: 'windows'
  readonly features: readonly WindowFeature[]
  readonly windowing: 'sawtooth' | 'exact'
  readonly hopMs: number
  /** Of the longest window. */
  readonly maxWindowMs: number
}

export type CompiledView = CompiledRowView | CompiledWindowView

export interface CompiledOnDemand {
  readonly name: string
  readonly version: number
  readonly views: readonly CompiledView[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  readonly features: readonly CompiledFeature[]
  readonly fingerprint: string
  readonly transform: (input: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>
  readonly definition: OnDemandView
}

/** One value of a service's row: where it comes from. */
export interface ServiceFeature {
  /** As the model calls it. */
  readonly name: string
  readonly type: ValueType
  readonly fallback: Value
  readonly from:
    | { readonly kind: 'view'; readonly view: CompiledView; readonly index: number }
    | { readonly kind: 'on-demand'; readonly view: CompiledOnDemand; readonly index: number }
}

export interface CompiledService {
  readonly name: string
  readonly features: readonly ServiceFeature[]
  /** Every view that is read, those behind on-demand views included. */
  readonly views: readonly CompiledView[]
  readonly onDemand: readonly CompiledOnDemand[]
  /** Union over the views. */
  readonly keys: readonly CompiledKey[]
  /** Union over the on-demand views: what a request must bring. */
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  readonly definition: FeatureService
}

/** All of a project's definitions. Names are unique among views and on-demand views, and among services. */
export interface FeatureProject {
  readonly entities: ReadonlyMap<string, Entity>
  readonly sources: ReadonlyMap<string, Source>
  readonly views: ReadonlyMap<string, CompiledView>
  readonly onDemand: ReadonlyMap<string, CompiledOnDemand>
  readonly services: ReadonlyMap<string, CompiledService>
}
