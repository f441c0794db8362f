// Every definition as people and programs read it: plain data.
import type { CompiledFeature, CompiledOnDemand, CompiledView, FeatureProject } from './compiled.js'
import type { Described } from './definitions/described.js'
import type { AggregationSpec } from './definitions/feature.js'
import type { Source } from './definitions/source.js'
import type { FeatureCatalogue, FeatureFacts, Said, ViewFacts } from './operations.js'
import type { Value } from './value.js'

export function catalogueOf(project: FeatureProject): FeatureCatalogue {
  return {
    entities: [...project.entities.values()].map((entity) => ({
      name: entity.name,
      keys: Object.entries(entity.keys).map(([name, type]) => ({ name, type })),
      ...said(entity),
    })),
    sources: [...project.sources.values()].map((source) => ({
      name: source.name,
      kind: source.kind,
      from: placeOf(source),
      columns: Object.entries(source.columns ?? {}).map(([name, type]) => ({ name, type })),
      ...said(source),
    })),
    views: [...[...project.views.values()].map(viewFacts), ...[...project.onDemand.values()].map(onDemandFacts)],
    services: [...project.services.values()].map(({ name, keys, request, features, definition }) => ({
      name,
      keys,
      request,
      features: features.map(({ name: feature, type, fallback, from }) => ({
        name: feature,
        type,
        default: plainValue(fallback),
        view: from.view.name,
        feature: from.view.features[from.index]!.name,
      })),
      ...said(definition),
    })),
  }
}

function viewFacts(view: CompiledView): ViewFacts {
  const { name, kind, version, fingerprint, keys, source, stream, features, online, everyMs, definition } = view
  return {
    name,
    kind,
    version,
    fingerprint,
    entities: definition.entities.map((entity) => entity.name),
    keys,
    source: source?.name ?? null,
    stream: stream?.name ?? null,
    views: [],
    request: [],
    features: features.map((feature) =>
      facts(
        feature,
        feature.kind === 'column'
          ? `column ${feature.column}`
          : `${meaningOf(feature.spec, feature.column)} over ${durationText(feature.windowMs)}${feature.where ? ', filtered' : ''}`,
      ),
    ),
    online,
    ttlMs: (view.kind === 'rows' ? view.ttlMs : undefined) ?? null,
    hopMs: view.kind === 'windows' && view.windowing === 'sawtooth' ? view.hopMs : null,
    everyMs: everyMs ?? null,
    ...said(definition),
  }
}

function onDemandFacts({
  name,
  version,
  fingerprint,
  views,
  request,
  features,
  definition,
}: CompiledOnDemand): ViewFacts {
  return {
    name,
    kind: 'on-demand',
    version,
    fingerprint,
    entities: [...new Set(views.flatMap((view) => view.definition.entities.map((entity) => entity.name)))],
    keys: [...new Map(views.flatMap((view) => view.keys).map((key) => [key.name, key])).values()],
    source: null,
    stream: null,
    views: views.map((view) => view.name),
    request,
    features: features.map((feature) => facts(feature, 'computed at request time')),
    online: true,
    ttlMs: null,
    hopMs: null,
    everyMs: null,
    ...said(definition),
  }
}

function facts({ name, type, fallback, description }: CompiledFeature, meaning: string): FeatureFacts {
  return { name, type, default: plainValue(fallback), description, meaning }
}

function said({ description = '', owner = '', tags = [] }: Described): Said {
  return { description, owner, tags }
}

function placeOf(source: Source): string {
  switch (source.kind) {
    case 'file':
      return source.path
    case 'sql':
      return source.query
    case 'postgres':
      return source.table ?? source.query ?? ''
    case 'push':
      return ''
    case 'kafka':
      return source.topic
    default:
      return source satisfies never
  }
}

/** `sum(amount)`, `lastK(product, 5)`. */
export function meaningOf(spec: AggregationSpec, column: string | undefined): string {
  const { op, ...parameters } = spec
  const shown = Object.entries(parameters).map(([name, value]) =>
    name === 'halfLifeMs'
      ? durationText(value as number)
      : Array.isArray(value)
        ? `[${value.join(', ')}]`
        : String(value),
  )
  return `${op}(${[...(column === undefined ? [] : [column]), ...shown].join(', ')})`
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** As people write it: `30d`. */
export function durationText(ms: number): string {
  const unit = UNITS.find(([, length]) => ms % length === 0)
  return unit ? `${ms / unit[1]}${unit[0]}` : `${ms}ms`
}

/** As JSON has it: whole numbers beyond 2^53 as decimal text, vectors as lists, infinities as text. */
export function plainValue(value: Value): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (value === null || typeof value !== 'object') return value
  return Array.from(value as ArrayLike<Value>, plainValue)
}
