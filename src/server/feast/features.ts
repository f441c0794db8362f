// What a request in Feast's shape asks for: references such as "view:feature", or a service, as a service to read and the names to answer with.
import {
  type CompiledOnDemand,
  type CompiledService,
  type CompiledView,
  FeatureErrors,
  type FeatureProject,
  type ServiceFeature,
} from '../../features/index.js'
import { FeastErrors } from './errors.js'

export interface Asked {
  readonly service: CompiledService
  /** By feature of the service: the name in the answer. */
  readonly names: readonly string[]
}

/** Features by reference. Throws FEAST_REFERENCE_INVALID, FEATURE_VIEW_UNKNOWN, FEAST_FEATURE_UNKNOWN, FEAST_VIEW_VERSION, FEAST_NAMES_CLASH. */
export function askedByReference(project: FeatureProject, references: readonly string[], hasFullNames: boolean): Asked {
  const features: ServiceFeature[] = []
  const views = new Set<CompiledView>()
  const onDemand = new Set<CompiledOnDemand>()
  for (const reference of references) {
    const { view, feature } = parseReference(reference, project)
    const index = view.features.findIndex(({ name }) => name === feature)
    if (index === -1)
      throw FeastErrors.FEATURE_UNKNOWN({ view: view.name, feature, known: view.features.map(({ name }) => name) })
    const { type, fallback } = view.features[index]!
    // Two views may have features of one name; in a service every feature has its own.
    const name = `${view.name}:${feature}`
    if (isOnDemand(view)) {
      onDemand.add(view)
      for (const each of view.views) views.add(each)
      features.push({ name, type, fallback, from: { kind: 'on-demand', view, index } })
    } else {
      views.add(view)
      features.push({ name, type, fallback, from: { kind: 'view', view, index } })
    }
  }
  const service: CompiledService = {
    name: references.join(' '),
    features,
    views: [...views],
    onDemand: [...onDemand],
    keys: unique([...views].flatMap(({ keys }) => keys)),
    request: unique([...onDemand].flatMap(({ request }) => request)),
    definition: { kind: 'service', name: 'asked', items: [] },
  }
  return { service, names: namesOf(service, hasFullNames) }
}

/** Throws FEATURE_SERVICE_UNKNOWN. */
export function askedByService(project: FeatureProject, name: string, hasFullNames: boolean): Asked {
  const service = project.services.get(name)
  if (service === undefined) throw FeatureErrors.SERVICE_UNKNOWN({ service: name, known: [...project.services.keys()] })
  const names = hasFullNames
    ? service.features.map((feature) => `${feature.from.view.name}__${feature.name}`)
    : service.features.map((feature) => feature.name)
  return { service, names }
}

function parseReference(reference: string, project: FeatureProject) {
  const [, name, version, feature] = /^([^:@]+)(?:@([^:]+))?:([^:]+)$/.exec(reference) ?? []
  if (name === undefined || feature === undefined) throw FeastErrors.REFERENCE_INVALID({ reference })
  const view = viewOf(project, name)
  if (version !== undefined && version !== 'latest' && version !== `v${view.version}`)
    throw FeastErrors.VIEW_VERSION({ view: name, asked: version, version: view.version })
  return { view, feature }
}

/** Throws FEATURE_VIEW_UNKNOWN. */
export function viewOf(project: FeatureProject, name: string): CompiledView | CompiledOnDemand {
  const view = project.views.get(name) ?? project.onDemand.get(name)
  if (view === undefined)
    throw FeatureErrors.VIEW_UNKNOWN({
      view: name.slice(0, 100),
      known: [...project.views.keys(), ...project.onDemand.keys()].join(', '),
    })
  return view
}

function isOnDemand(view: CompiledView | CompiledOnDemand): view is CompiledOnDemand {
  return 'transform' in view
}

function namesOf({ features }: CompiledService, hasFullNames: boolean): string[] {
  const names = features.map(({ from }) => {
    const { name } = from.view.features[from.index]!
    return hasFullNames ? `${from.view.name}__${name}` : name
  })
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw FeastErrors.NAMES_CLASH({ name: twice })
  return names
}

function unique<T extends { readonly name: string }>(all: readonly T[]): T[] {
  return [...new Map(all.map((one) => [one.name, one])).values()]
}
