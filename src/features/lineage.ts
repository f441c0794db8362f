// What flows into what: from sources over views and services to the model versions and endpoints that use them.
import { didYouMean } from '../core/index.js'
import type { FeatureProject } from './compiled.js'
import { FeatureErrors } from './errors.js'

export interface LineageNode {
  /** `view:user_spend`, `feature:user_spend.spend_30d`. */
  readonly id: string
  readonly kind: 'source' | 'view' | 'on-demand' | 'feature' | 'service' | 'version' | 'endpoint'
  readonly name: string
  readonly owner: string
}

export interface Lineage {
  readonly nodes: readonly LineageNode[]
  /** From what feeds to what is fed, by id. */
  readonly edges: readonly { readonly from: string; readonly to: string }[]
}

/** Who uses services: known where models are. */
export interface Consumers {
  readonly versions: readonly { readonly model: string; readonly version: number; readonly service: string }[]
  readonly endpoints: readonly {
    readonly name: string
    readonly versions: readonly { readonly model: string; readonly version: number }[]
  }[]
}

/**
 * Of everything; or of what feeds `name`, what it feeds, and itself. A name is that of a source, view, service, model, endpoint or feature
 * (`spend_30d` or `user_spend.spend_30d`). Throws FEATURE_NAME_UNKNOWN.
 */
export function lineageOf(project: FeatureProject, consumers: Consumers, name?: string): Lineage {
  const nodes = new Map<string, LineageNode>()
  const edges = new Map<string, { from: string; to: string }>()
  const add = (kind: LineageNode['kind'], name: string, owner: string | undefined): string => {
    const id = `${kind}:${name}`
    if (!nodes.has(id)) nodes.set(id, { id, kind, name, owner: owner ?? '' })
    return id
  }
  const link = (from: string, to: string) => edges.set(`${from}>${to}`, { from, to })

  for (const source of project.sources.values()) add('source', source.name, source.owner)
  for (const view of project.views.values()) {
    const id = add('view', view.name, view.definition.owner)
    for (const source of [view.source, view.stream]) if (source) link(`source:${source.name}`, id)
    for (const feature of view.features) {
      link(id, add('feature', `${view.name}.${feature.name}`, view.definition.owner))
    }
  }
  for (const view of project.onDemand.values()) {
    const id = add('on-demand', view.name, view.definition.owner)
    // Any of a view's features may be read by the function.
    for (const read of view.views) link(`view:${read.name}`, id)
    for (const feature of view.features) link(id, add('feature', `${view.name}.${feature.name}`, view.definition.owner))
  }
  for (const service of project.services.values()) {
    const id = add('service', service.name, service.definition.owner)
    for (const { from } of service.features) {
      link(`feature:${from.view.name}.${from.view.features[from.index]!.name}`, id)
    }
  }
  for (const { model, version, service } of consumers.versions) {
    const id = add('version', `${model}/${version}`, undefined)
    if (project.services.has(service)) link(`service:${service}`, id)
  }
  for (const endpoint of consumers.endpoints) {
    for (const { model, version } of endpoint.versions) {
      if (!nodes.has(`version:${model}/${version}`)) continue
      link(`version:${model}/${version}`, add('endpoint', endpoint.name, undefined))
    }
  }
  const all: Lineage = { nodes: [...nodes.values()], edges: [...edges.values()] }
  return name === undefined ? all : around(all, name)
}

function around({ nodes, edges }: Lineage, name: string): Lineage {
  const isMeant = (node: LineageNode) =>
    node.name === name ||
    node.id === name ||
    (node.kind === 'feature' && node.name.endsWith(`.${name}`)) ||
    (node.kind === 'version' && node.name.startsWith(`${name}/`))
  const meant = nodes.filter(isMeant).map(({ id }) => id)
  if (meant.length === 0) {
    throw FeatureErrors.NAME_UNKNOWN({
      name,
      suggestion: didYouMean(name, [...new Set(nodes.flatMap((node) => [node.name, node.name.split(/[./]/).at(-1)!]))]),
    })
  }
  const kept = new Set([...reach(meant, edges, 'from', 'to'), ...reach(meant, edges, 'to', 'from')])
  return {
    nodes: nodes.filter(({ id }) => kept.has(id)),
    edges: edges.filter(({ from, to }) => kept.has(from) && kept.has(to)),
  }
}

function reach(
  start: readonly string[],
  edges: Lineage['edges'],
  here: 'from' | 'to',
  there: 'from' | 'to',
): Set<string> {
  const next = new Map<string, string[]>()
  for (const edge of edges) next.set(edge[here], [...(next.get(edge[here]) ?? []), edge[there]])
  const reached = new Set(start)
  // A set is walked while it grows.
  for (const id of reached) for (const other of next.get(id) ?? []) reached.add(other)
  return reached
}
