// Features computed at request time from what the request brings and from other features, by a pure function.
import type { ValueOf, ValueType } from '../value.js'
import type { Described } from './described.js'
import type { FeatureView, RowOf } from './view.js'

export type RequestColumns = Readonly<Record<string, ValueType>>

/** A feature that is computed: its type, and the answer when it cannot be. */
export interface Computed<T extends ValueType = ValueType> {
  readonly type: T
  readonly default?: ValueOf<T> | null
  readonly description?: string
}

export interface OnDemandView<
  Name extends string = string,
  Views extends readonly FeatureView[] = readonly FeatureView[],
  Request extends RequestColumns = RequestColumns,
  Out extends Readonly<Record<string, Computed>> = Readonly<Record<string, Computed>>,
> extends Described {
  readonly kind: 'on-demand'
  readonly name: Name
  /** Views whose features the function is given, under the views' names. */
  readonly views: Views
  /** What the request must bring: inputs of the call, or columns of the labels. */
  readonly request: Request
  readonly features: Out
  readonly version?: number
  // Methods are compared bivariantly, so that one of some views is one of any views.
  transform(input: OnDemandInput<Views, Request>): { readonly [N in keyof Out]: ValueOf<Out[N]['type']> | null }
}

/** Rows of the views by their names, the request's values under `request`, and the moment in milliseconds. */
export type OnDemandInput<Views extends readonly FeatureView[], Request extends RequestColumns> = {
  readonly request: { readonly [N in keyof Request]: ValueOf<Request[N]> | null }
  readonly atMs: number
} & { readonly [V in Views[number] as V['name']]: RowOf<V['features']> }

/**
 * Defines features that a function computes from others. The function is called once per row, in training sets and at request
 * time alike; it must be pure: no clock (use `atMs`), no randomness, nothing outside its input.
 *
 * @example
 * defineOnDemandView('spend_ratio', {
 *   views: [userSpend], request: { amount: 'float64' }, features: { ratio: { type: 'float64' } },
 *   transform: ({ request, user_spend }) => ({ ratio: user_spend.mean_30d ? (request.amount ?? 0) / user_spend.mean_30d : null }),
 * })
 */
export function defineOnDemandView<
  const Name extends string,
  const Views extends readonly FeatureView[],
  const Request extends RequestColumns,
  const Out extends Readonly<Record<string, Computed>>,
>(
  name: Name,
  options: Omit<OnDemandView<Name, Views, Request, Out>, 'kind' | 'name'>,
): OnDemandView<Name, Views, Request, Out> {
  return { kind: 'on-demand', name, ...options }
}
