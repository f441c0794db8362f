// A feature service: the features that one model version is given, by the names it knows. A version's model.json names its service.
import type { ValueOf } from '../value.js'
import type { Described } from './described.js'
import type { OnDemandView } from './on-demand.js'
import type { FeatureView, RowOf } from './view.js'

export type AnyView = FeatureView | OnDemandView

/** Feature of a view by the name that a service gives it. */
type Renaming = Readonly<Record<string, string>>

/** Some features of a view; under their own names, or others. */
export interface Selection<V extends AnyView = AnyView, M extends Renaming = Renaming> {
  readonly kind: 'selection'
  readonly view: V
  readonly features: M
}

export type ServiceItem = AnyView | Selection

export interface FeatureService<
  Name extends string = string,
  Items extends readonly ServiceItem[] = readonly ServiceItem[],
> extends Described {
  readonly kind: 'service'
  readonly name: Name
  readonly items: Items
}

/** Some features of a view. */
export function select<V extends AnyView, const Names extends keyof V['features'] & string>(
  view: V,
  ...names: readonly Names[]
): Selection<V, { readonly [N in Names]: N }> {
  const features = Object.fromEntries(names.map((name) => [name, name])) as { readonly [N in Names]: N }
  return { kind: 'selection', view, features }
}

/** Features of a view under other names: `{ new: 'old' }`. */
export function selectAs<V extends AnyView, const M extends Readonly<Record<string, keyof V['features'] & string>>>(
  view: V,
  features: M,
): Selection<V, M> {
  return { kind: 'selection', view, features }
}

/**
 * Defines what a version is given. Names must not clash: select or rename where they would.
 *
 * @example defineFeatureService('fraud', [cardVelocity, select(merchantRisk, 'risk'), spendRatio])
 */
export function defineFeatureService<const Name extends string, const Items extends readonly ServiceItem[]>(
  name: Name,
  items: Items,
  options: Described = {},
): FeatureService<Name, Items> {
  return { kind: 'service', name, items, ...options }
}

type RowOfView<V> =
  V extends FeatureView<string, unknown, infer F>
    ? RowOf<F>
    : V extends OnDemandView<string, readonly FeatureView[], infer _R, infer Out>
      ? { -readonly [N in keyof Out]: ValueOf<Out[N]['type']> | null }
      : never

type RowOfItem<I> =
  I extends Selection<infer V, infer M>
    ? { -readonly [N in keyof M]: M[N] extends keyof RowOfView<V> ? RowOfView<V>[M[N]] : never }
    : RowOfView<I>

type Union<T> = (T extends unknown ? (of: T) => void : never) extends (of: infer I) => void ? I : never

/** A row of a service: value by feature, null where there is none. */
export type ServiceRow<S extends FeatureService> = {
  [K in keyof Union<RowOfItem<S['items'][number]>>]: Union<RowOfItem<S['items'][number]>>[K]
}
