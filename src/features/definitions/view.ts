// A feature view: features of one entity (or combination of entities), from one place, with one meaning.
import type { Duration } from '../duration.js'
import type { ValueOf } from '../value.js'
import type { Described } from './described.js'
import type { Entity } from './entity.js'
import type { Expectation } from './expectation.js'
import type { Feature } from './feature.js'
import type { BatchSource, StreamSource } from './source.js'

export type Features = Readonly<Record<string, Feature>>

export interface FeatureView<Name extends string = string, Keys = unknown, F extends Features = Features>
  extends Described {
  readonly kind: 'view'
  readonly name: Name
  readonly entities: readonly Entity[]
  /** What is read as a whole: for training sets, backfills and materialisation. */
  readonly source?: BatchSource
  /** What arrives event by event. Without a batch source, its kept events are that. */
  readonly stream?: StreamSource
  /** All columns, or all aggregations. */
  readonly features: F
  /** A row older than this has no value, the age exactly this included; default: none is too old. Aggregations have their windows instead. */
  readonly ttl?: Duration
  /** Raise it when the meaning changes: the new version is filled beside the old one and then switched to. Default 1. */
  readonly version?: number
  /** Names that features had before, by the name they have now: what was stored or logged under them is read on. */
  readonly renames?: Readonly<Record<string, string>>
  /** `sawtooth` (default) keeps tiles and lets a window's old end move in hops; `exact` keeps every event. */
  readonly windowing?: 'sawtooth' | 'exact'
  /**
   * Length of a tile; default by the longest window, as Chronon does: 1 d from 12 d on, 1 h from 12 h on, else 5 min, but never more than a
   * twelfth of the shortest window.
   */
  readonly hop?: Duration
  /** How often the server materialises it from its batch source; default: only when asked. */
  readonly every?: Duration
  /** False keeps it out of the online store; default true. */
  readonly online?: boolean
  /** Checked when rows come in and when they are materialised. */
  readonly expectations?: readonly Expectation[]
  /** Type of the entity keys; never there at run time. */
  readonly keys?: Keys
}

type KeysOf<E extends readonly Entity[]> = {
  [K in E[number] as keyof K['keys'] & string]: K['keys'][keyof K['keys'] & string] extends 'int64'
    ? number | bigint
    : string
}

/** Value by feature, null where there is none. */
export type RowOf<F extends Features> = {
  -readonly [N in keyof F]: F[N] extends Feature<infer T> ? ValueOf<T> | null : never
}

type ViewOptions<E extends readonly Entity[], F extends Features> = Omit<
  FeatureView<string, unknown, F>,
  'kind' | 'name' | 'entities' | 'keys'
> & { readonly entities: E }

/**
 * Defines a view. Its name, and those of its features, are how services, requests and logs call it.
 *
 * @example
 * defineFeatureView('card_velocity', {
 *   entities: [card], stream: payments,
 *   features: { payments_10m: count({ over: '10m' }), spend_24h: sum('amount', { over: '24h' }) },
 * })
 */
export function defineFeatureView<
  const Name extends string,
  const E extends readonly Entity[],
  const F extends Features,
>(name: Name, options: ViewOptions<E, F>): FeatureView<Name, KeysOf<E>, F> {
  return { kind: 'view', name, ...options } as FeatureView<Name, KeysOf<E>, F>
}
