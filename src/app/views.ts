// What people and generators see of models and endpoints: plain data, no live objects.
import { toHeadraceError, type VersionRef, versionKey } from '../core/index.js'
import { type Endpoint, type FeatureNeeds, firstThere, type Versions } from '../path/index.js'
import type { VersionLeaf } from '../route/index.js'
import type { CachePolicy, RunsIn, ServedVersion, VersionMemory, VersionState } from '../serving/index.js'
import {
  type ConvertedFrom,
  describeRows,
  type FeatureSpec,
  type OutputSpec,
  type RowSchema,
  type Signature,
} from '../tensor/index.js'
import type { App } from './app.js'
import type { EndpointOrigin } from './endpoints.js'
import { numberOf } from './versions.js'

export interface VersionView {
  readonly version: number
  /** `unloaded` when no server has loaded it. */
  readonly state: VersionState
  /** Why it is not ready. */
  readonly reason: string | null
  /** Error code of a load that failed. */
  readonly code: string | null
  readonly digest: string | null
  readonly isolation: RunsIn | null
  /** Null when it is not in the pool. */
  readonly memory: MemoryView | null
  /** What ONNX Runtime computes with, in order of preference; null where it does not. */
  readonly providers: readonly string[] | null
  readonly signature: Signature | null
  readonly labels: readonly string[] | null
  readonly description: string | null
  readonly trained: Readonly<Record<string, unknown>> | null
  /** The file of another library that it was made from. */
  readonly convertedFrom: ConvertedFrom | null
}

export interface MemoryView {
  /** Of the budget of the process that answers, now; 0 at rest. */
  readonly usedBytes: number
  /** What it takes when it is loaded. */
  readonly sizeBytes: number
  /** False: `sizeBytes` is an estimate. */
  readonly isMeasured: boolean
  /** Never unloaded to make room. */
  readonly isPinned: boolean
}

export interface ModelView {
  readonly name: string
  readonly aliases: Readonly<Record<string, number>>
  /** By number. */
  readonly versions: readonly VersionView[]
}

export interface EndpointView {
  readonly name: string
  readonly origin: EndpointOrigin
  /** It answers, if need be after loading the version that rests. */
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reason: string | null
  /** The version that callers' inputs are checked against now, or will be once it is loaded. */
  readonly model: string | null
  readonly version: number | null
  readonly description: string | null
  readonly signature: Signature | null
  readonly features: readonly FeatureSpec[]
  readonly outputs: readonly OutputSpec[]
  readonly labels: readonly string[] | null
  readonly deadlineMs: number
  /** Null when the endpoint declares no cache. */
  readonly cache: CacheView | null
  /** What feature services give its versions, and what they need for it; null where no version has one. */
  readonly served: FeatureNeeds | null
}

export interface CacheView {
  /** False while it is switched off by a decision. */
  readonly enabled: boolean
  readonly key: 'tensors' | 'request'
  readonly scope: 'tenant' | 'shared'
  readonly ttlMs: number
  /** Share of recent requests, 0 to 1, that asked no model, in the process that answers; null while nothing is known. */
  readonly hitRate: number | null
}

const schemas = new WeakMap<ServedVersion, RowSchema>()

/** How rows map to a version's tensors; worked out once per version. */
export function rowSchema(served: ServedVersion): RowSchema {
  let schema = schemas.get(served)
  if (!schema) {
    schema = describeRows(served.signature, served.manifest, served.labels)
    schemas.set(served, schema)
  }
  return schema
}

/** Of all models, or of one. */
export async function modelViews(app: App, model?: string): Promise<ModelView[]> {
  const isAsked = (ref: VersionRef) => model === undefined || ref.model === model
  const models = new Map<string, Map<number, VersionView>>()
  const put = (model: string, view: VersionView) => {
    const versions = models.get(model) ?? new Map<number, VersionView>()
    models.set(model, versions.set(view.version, view))
  }
  for (const ref of await app.source.list()) {
    if (!isAsked(ref) || app.pool.status(ref)) continue
    const error = app.refused.get(versionKey(ref))
    put(
      ref.model,
      versionView(ref.version, error ? 'failed' : 'unloaded', error?.message, error?.code, undefined, undefined),
    )
  }
  const memory = new Map<string, VersionMemory>()
  for (const version of app.pool.memory().versions)
    if (isAsked(version.ref)) memory.set(versionKey(version.ref), version)
  for (const { ref, state, reason, error } of app.pool.statuses())
    if (isAsked(ref))
      put(
        ref.model,
        versionView(ref.version, state, reason, error?.code, app.pool.get(ref), memory.get(versionKey(ref))),
      )
  return [...models]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, versions]) => ({
      name,
      aliases: app.aliases.of(name),
      versions: [...versions.values()].sort((a, b) => a.version - b.version),
    }))
}

function versionView(
  version: number,
  state: VersionState,
  reason: string | undefined,
  code: string | undefined,
  served: ServedVersion | undefined,
  memory: VersionMemory | undefined,
): VersionView {
  return {
    version,
    state,
    reason: reason ?? null,
    code: code ?? null,
    digest: served?.digest ?? null,
    isolation: served?.isolation ?? null,
    memory: memory === undefined ? null : memoryView(memory),
    providers: served?.providers ?? null,
    signature: served?.signature ?? null,
    labels: served?.labels ?? null,
    description: served?.manifest.description || null,
    trained: served?.manifest.trained ?? null,
    convertedFrom: served?.manifest.convertedFrom ?? null,
  }
}

function memoryView({ usedBytes, sizeBytes, isMeasured, isPinned }: VersionMemory): MemoryView {
  return { usedBytes: Math.round(usedBytes), sizeBytes: Math.round(sizeBytes), isMeasured, isPinned }
}

/** Of leaves none of which is there. */
function whyNot(leaves: readonly VersionLeaf[], versions: Versions): string {
  try {
    versions.resolve(leaves[0]!)
    // It came back since.
    return 'it is being loaded'
  } catch (error) {
    return toHeadraceError(error).message
  }
}

export function endpointViews(app: App): EndpointView[] {
  return app.endpoints.list().map((endpoint) => endpointView(endpoint, app))
}

export function endpointView(endpoint: Endpoint, app: App): EndpointView {
  const { route } = endpoint
  const served = firstThere(route.leaves, app.versions)
  const answering = served && firstThere(route.answering, app.versions)
  const asleep = answering ? undefined : firstAsleep(served ? route.answering : route.leaves, app)
  const isReady = answering !== undefined || asleep !== undefined
  const ref = served?.ref ?? asleep
  return {
    name: endpoint.name,
    origin: app.endpoints.origin(endpoint.name),
    ready: isReady,
    reason: isReady ? null : whyNot(served ? route.answering : route.leaves, app.versions),
    model: ref?.model ?? null,
    version: ref?.version ?? null,
    description: served?.manifest.description || null,
    signature: served && answering ? { ...served.signature, outputs: answering.signature.outputs } : null,
    features: served ? rowSchema(served).features : [],
    outputs: answering ? rowSchema(answering).outputs : [],
    labels: answering?.labels ?? null,
    deadlineMs: endpoint.deadlineMs,
    cache: endpoint.cache ? cacheView(endpoint.cache, app) : null,
    served: (served && app.path.featuresOf(endpoint, undefined)?.describe()) ?? null,
  }
}

/** Of leaves none of which is there: the first whose version is loaded when somebody asks. */
function firstAsleep(leaves: readonly VersionLeaf[], { aliases, pool }: App): VersionRef | undefined {
  for (const leaf of leaves) {
    const number = numberOf(leaf, aliases)
    const ref = number === undefined ? undefined : pool.asleep(leaf.model, number)
    if (ref !== undefined) return ref
  }
  return undefined
}

function cacheView({ endpoint, key, scope, ttlMs }: CachePolicy, { cache }: App): CacheView {
  return { enabled: cache.isOn(endpoint), key, scope, ttlMs, hitRate: cache.hitRate(endpoint) ?? null }
}
