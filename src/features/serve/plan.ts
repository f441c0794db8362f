// What several services need together, compiled once: each view, each on-demand view and each feature one time.
import type { CompiledKey, CompiledOnDemand, CompiledService, CompiledView } from '../compiled.js'
import type { Value, ValueType } from '../value.js'
import type { PlannedFeature, ReadPlan } from './types.js'

/** A view that is read. */
export interface PlannedView {
  readonly view: CompiledView
  /** Which of `keySets` finds its rows. */
  readonly keySet: number
  readonly fallbacks: readonly Value[]
  /** Columns that show its features. */
  readonly columns: readonly number[]
  /** Services that read it. */
  readonly services: readonly string[]
}

export interface PlannedOnDemand {
  readonly view: CompiledOnDemand
  /** Positions in `views` of those it is given. */
  readonly views: readonly number[]
  readonly columns: readonly number[]
  readonly services: readonly string[]
}

/** A feature under one name: of view or on-demand view number `of`, there number `index`. */
export interface PlannedColumn extends PlannedFeature {
  readonly fallback: Value
  readonly isOnDemand: boolean
  readonly of: number
  readonly index: number
}

export class CompiledPlan implements ReadPlan {
  readonly services: readonly CompiledService[]
  readonly keys: readonly CompiledKey[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  readonly features: readonly PlannedColumn[]
  readonly views: readonly PlannedView[]
  readonly onDemand: readonly PlannedOnDemand[]
  /** Keys that several views have in common are encoded once. */
  readonly keySets: readonly (readonly CompiledKey[])[]
  readonly #columnsOf = new Map<string, ReadonlyMap<string, number>>()

  constructor(services: readonly CompiledService[]) {
    this.services = services
    this.keys = byName(services.flatMap(({ keys }) => keys))
    this.request = byName(services.flatMap(({ request }) => request))
    const views = [...new Set(services.flatMap((service) => service.views))]
    const onDemand = [...new Set(services.flatMap((service) => service.onDemand))]
    const columns: (PlannedColumn & { services: string[] })[] = []
    for (const service of services) {
      const own = new Map<string, number>()
      for (const { name, type, fallback, from } of service.features) {
        const isOnDemand = from.kind === 'on-demand'
        const of = isOnDemand ? onDemand.indexOf(from.view) : views.indexOf(from.view)
        let at = columns.findIndex(
          (column) =>
            column.name === name && column.isOnDemand === isOnDemand && column.of === of && column.index === from.index,
        )
        if (at === -1) {
          at = columns.length
          columns.push({ name, type, fallback, services: [], isOnDemand, of, index: from.index })
        }
        columns[at]!.services.push(service.name)
        own.set(name, at)
      }
      this.#columnsOf.set(service.name, own)
    }
    this.features = columns
    const keySets: (readonly CompiledKey[])[] = []
    const shownBy = (isOnDemand: boolean, of: number) =>
      columns.flatMap((column, at) => (column.isOnDemand === isOnDemand && column.of === of ? [at] : []))
    this.views = views.map((view, of) => {
      let keySet = keySets.findIndex((keys) => areSame(keys, view.keys))
      if (keySet === -1) keySet = keySets.push(view.keys) - 1
      return {
        view,
        keySet,
        fallbacks: view.features.map(({ fallback }) => fallback),
        columns: shownBy(false, of),
        services: services.filter((service) => service.views.includes(view)).map(({ name }) => name),
      }
    })
    this.keySets = keySets
    this.onDemand = onDemand.map((view, of) => ({
      view,
      views: view.views.map((each) => views.indexOf(each)),
      columns: shownBy(true, of),
      services: services.filter((service) => service.onDemand.includes(view)).map(({ name }) => name),
    }))
  }

  columnsOf(service: string): ReadonlyMap<string, number> {
    return this.#columnsOf.get(service) ?? NO_COLUMNS
  }
}

/** A plan of services that need not be the project's: features that somebody picked. To be kept by who asks for it again. */
export function planOf(services: readonly CompiledService[]): ReadPlan {
  return new CompiledPlan(services)
}

const NO_COLUMNS: ReadonlyMap<string, number> = new Map()

function byName<T extends { readonly name: string }>(all: readonly T[]): T[] {
  return [...new Map(all.map((one) => [one.name, one])).values()]
}

export function areSame(a: readonly CompiledKey[], b: readonly CompiledKey[]): boolean {
  return a.length === b.length && a.every(({ name, type }, i) => name === b[i]!.name && type === b[i]!.type)
}
