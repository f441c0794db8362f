// Features that a caller picks one by one, as a service of that request: `view:feature`.
import { didYouMean } from '../core/index.js'
import type {
  CompiledKey,
  CompiledOnDemand,
  CompiledService,
  CompiledView,
  FeatureProject,
  ServiceFeature,
} from './compiled.js'
import { FeatureErrors } from './errors.js'
import type { ValueType } from './value.js'

/** Its features are called as they were asked for. Throws FEATURE_REFERENCE_UNKNOWN. */
export function pickFeatures(project: FeatureProject, references: readonly string[]): CompiledService {
  const features: ServiceFeature[] = []
  const views = new Set<CompiledView>()
  const onDemand = new Set<CompiledOnDemand>()
  for (const reference of new Set(references)) {
    const at = reference.indexOf(':')
    const [viewName, featureName] = [reference.slice(0, at), reference.slice(at + 1)]
    const view = project.views.get(viewName)
    const computed = project.onDemand.get(viewName)
    const index = (view ?? computed)?.features.findIndex(({ name }) => name === featureName) ?? -1
    if (index === -1) throw FeatureErrors.REFERENCE_UNKNOWN({ reference, suggestion: suggestion(project, reference) })
    const from: ServiceFeature['from'] = view
      ? { kind: 'view', view, index }
      : { kind: 'on-demand', view: computed!, index }
    const { type, fallback } = from.view.features[index]!
    features.push({ name: reference, type, fallback, from })
    if (view) views.add(view)
    else {
      onDemand.add(computed!)
      for (const one of computed!.views) views.add(one)
    }
  }
  return {
    name: references.join(' '),
    features,
    views: [...views],
    onDemand: [...onDemand],
    keys: byName<CompiledKey>([...views].flatMap(({ keys }) => keys)),
    request: byName<{ readonly name: string; readonly type: ValueType }>(
      [...onDemand].flatMap(({ request }) => request),
    ),
    definition: { kind: 'service', name: 'picked', items: [] },
  }
}

function suggestion(project: FeatureProject, reference: string): string | undefined {
  const all = [...project.views.values(), ...project.onDemand.values()].flatMap(({ name, features }) =>
    features.map((feature) => `${name}:${feature.name}`),
  )
  // Without a view, the one that has such a feature is meant.
  return all.find((one) => one.endsWith(`:${reference}`)) ?? didYouMean(reference, all)
}

function byName<T extends { readonly name: string }>(all: readonly T[]): T[] {
  return [...new Map(all.map((one) => [one.name, one])).values()]
}
