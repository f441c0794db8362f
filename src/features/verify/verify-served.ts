// Consistency: what was served against what the definitions give for the same keys at the same moments, computed anew from history.
// Memory is bounded whatever the log holds: vectors are sampled by a hash of key and hour, and only the sample is held.
import type { Platform } from '../../core/index.js'
import type { CompiledOnDemand, CompiledService, CompiledView, ServiceFeature } from '../compiled.js'
import { encodeKey } from '../entity-key.js'
import type { OfflineStore } from '../offline/types.js'
import type { ValueGap } from '../serve/types.js'
import type { Value } from '../value.js'
import { type Difference, differenceOf } from './difference.js'
import { recompute } from './recompute.js'
import { FeatureTally } from './tally.js'
import type { ServedVector, VerifyReport } from './types.js'

export interface VerifyOptions {
  readonly platform: Platform
  readonly service: CompiledService
  /** Those of other services are passed over. In any order. */
  readonly vectors: AsyncIterable<ServedVector>
  readonly offline: Pick<OfflineStore, 'valuesAt'>
  /** Floats are equal up to this relative difference; default 1e-9. Everything else must be the same. */
  readonly tolerance?: number
  /**
   * How long an event may take from being known to being served; default 5 s. A value that is what the definition gave at some moment
   * of this time before is `late`, not a mismatch. For a view that is materialised every so often, that is added.
   */
  readonly graceMs?: number
  /** Vectors compared at most; default 20,000: the next one halves the sample. */
  readonly maxVectors?: number
  /** Examples per feature; default 5. */
  readonly examples?: number
  readonly signal?: AbortSignal
}

const HOUR_MS = 3_600_000
/** Differing vectors that are looked up together, at every moment: bounds memory. */
const LATE_VECTORS = 1000
/** Moments before a vector's own at which a differing value is looked for, as parts of the grace. */
const LATE_STEPS = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]

/**
 * Compares served vectors with the definition, feature by feature.
 *
 * ```ts
 * const report = await verifyServed({ platform, service, vectors, offline })
 * report.features.filter((feature) => feature.matchRate < 0.99)
 * ```
 */
export async function verifyServed(options: VerifyOptions): Promise<VerifyReport> {
  const { platform, service, tolerance = 1e-9, graceMs = 5000 } = options
  const startedMs = platform.clock.monotonicMs()
  const sample = await collect(options)
  const tallies = service.features.map((feature) => new FeatureTally(feature, options.examples ?? 5))
  const offline = new OfflineValues(service, options.offline)
  const checked = await offline.load(sample.vectors)

  const differing: { readonly vector: number; readonly feature: number; readonly difference: Difference }[] = []
  for (let v = 0; v < sample.vectors.length; v++) {
    if (!checked[v]) continue
    const vector = sample.vectors[v]!
    for (let f = 0; f < service.features.length; f++) {
      const feature = service.features[f]!
      const tally = tallies[f]!
      const gap = gapOf(vector, feature, service)
      if (vector.sources[feature.name] === undefined) continue
      if (vector.sources[feature.name] === 'request') tally.given++
      else if (gap === 'last-known') tally.lastKnown++
      else if (gap === 'unanswered') tally.defaults++
      else {
        const served = gap === 'none' ? (vector.values[feature.name] ?? null) : null
        const expected = offline.valueAt(v, feature)
        const difference =
          differenceOf(feature.type, served, expected, tolerance) ??
          // Rightly without a value: then the default is the one that is defined.
          (gap === 'no-value'
            ? differenceOf(feature.type, vector.values[feature.name] ?? null, feature.fallback, tolerance)
            : undefined)
        if (difference === undefined) tally.match(feature.type, served)
        else differing.push({ vector: v, feature: f, difference })
      }
    }
    options.signal?.throwIfAborted()
  }

  const late = await lateOnes(differing, sample.vectors, service, options, tolerance, graceMs)
  for (let i = 0; i < differing.length; i++) {
    const { vector: v, feature: f, difference } = differing[i]!
    tallies[f]!.differ(sample.vectors[v]!, difference, late[i]!)
  }

  const features = tallies.map((tally) => tally.report())
  const compared = features.reduce((sum, feature) => sum + feature.compared, 0)
  const right = features.reduce((sum, feature) => sum + feature.matched + feature.late, 0)
  const moments = sample.vectors.filter((_, v) => checked[v])
  return {
    service: service.name,
    fromMs: moments.length === 0 ? undefined : moments.reduce((least, { atMs }) => Math.min(least, atMs), Infinity),
    toMs: moments.length === 0 ? undefined : moments.reduce((most, { atMs }) => Math.max(most, atMs), -Infinity),
    vectors: sample.read,
    checked: moments.length,
    sampleShare: sample.share,
    skipped: [...offline.skipped].map(([reason, vectors]) => ({ reason, vectors })),
    tolerance,
    graceMs,
    features,
    matchRate: compared === 0 ? 1 : right / compared,
    elapsedMs: platform.clock.monotonicMs() - startedMs,
  }
}

interface Sample {
  readonly vectors: ServedVector[]
  readonly read: number
  readonly share: number
}

/** All of a key's vectors of an hour are in the sample or none: their events are then replayed once. */
async function collect({ service, vectors, maxVectors = 20_000, signal }: VerifyOptions): Promise<Sample> {
  const oldNames = oldNamesOf(service)
  let kept: { readonly vector: ServedVector; readonly point: number }[] = []
  let read = 0
  let share = 1
  for await (const vector of vectors) {
    signal?.throwIfAborted()
    if (vector.service !== service.name) continue
    read++
    const point = pointOf(vector)
    if (point >= share) continue
    kept.push({ vector: oldNames.size === 0 ? vector : renamed(vector, oldNames), point })
    while (kept.length > maxVectors) {
      share /= 2
      kept = kept.filter((one) => one.point < share)
    }
  }
  return { vectors: kept.map(({ vector }) => vector), read, share }
}

/** Names that features were logged under before, by the names that the service gives them now. */
function oldNamesOf(service: CompiledService): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const { name, from } of service.features) {
    if (from.kind !== 'view') continue
    const own = from.view.features[from.index]!.name
    const old = own === name ? from.view.definition.renames?.[own] : undefined
    if (old !== undefined) names.set(name, old)
  }
  return names
}

function renamed(vector: ServedVector, oldNames: ReadonlyMap<string, string>): ServedVector {
  const now = <T>(by: Readonly<Record<string, T>>): Readonly<Record<string, T>> => {
    const all = { ...by }
    for (const [name, old] of oldNames) if (!(name in by) && old in by) all[name] = by[old]!
    return all
  }
  return {
    ...vector,
    values: now(vector.values),
    sources: now(vector.sources),
    gaps: now(vector.gaps),
    agesMs: now(vector.agesMs),
  }
}

function pointOf({ keys, atMs }: ServedVector): number {
  const text = `${Object.keys(keys)
    .sort()
    .map((name) => String(keys[name]))
    .join('\u0000')}\u0000${Math.floor(atMs / HOUR_MS)}`
  // FNV-1a, then MurmurHash3's finaliser: the last characters alone differ between hours.
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

type Standing = 'none' | 'no-value' | 'unanswered' | 'last-known'

/** What a served value is worth: the store's word, its word that there is none, or something in its place. */
function gapOf(vector: ServedVector, feature: ServiceFeature, service: CompiledService): Standing {
  const own = standing(vector, feature.name)
  if (own !== 'none' || feature.from.kind === 'view') return own
  // Computed from what was not the store's word, it is none either.
  const { views } = feature.from.view
  for (const other of service.features) {
    if (other.from.kind !== 'view' || !views.includes(other.from.view)) continue
    const input = standing(vector, other.name)
    if (input === 'unanswered' || input === 'last-known') return input
  }
  return 'none'
}

function standing(vector: ServedVector, name: string): Standing {
  const source = vector.sources[name]
  if (source === 'last-known') return 'last-known'
  if (source !== 'default') return 'none'
  const gap: ValueGap = vector.gaps[name] ?? 'none'
  return gap === 'missing' || gap === 'expired' ? 'no-value' : 'unanswered'
}

/** What the definitions give at the vectors' own moments, or at moments before them. */
class OfflineValues {
  readonly skipped = new Map<string, number>()
  readonly #service: CompiledService
  readonly #store: Pick<OfflineStore, 'valuesAt'>
  /** By view: by vector, undefined where there is no row. */
  readonly #rows = new Map<CompiledView, (readonly Value[] | undefined)[]>()
  readonly #computed = new Map<CompiledOnDemand, (readonly Value[] | undefined)[]>()

  constructor(service: CompiledService, store: Pick<OfflineStore, 'valuesAt'>) {
    this.#service = service
    this.#store = store
  }

  /** Values of moments that lie `back` before the vectors' own. Says which vectors can be compared. */
  async load(
    vectors: readonly ServedVector[],
    back: (vector: number, view: CompiledView) => number = () => 0,
    views: ReadonlySet<CompiledView> = new Set(this.#service.views),
  ): Promise<boolean[]> {
    const usable = new Array<boolean>(vectors.length).fill(true)
    for (const view of views) {
      const rows = new Array<readonly Value[] | undefined>(vectors.length).fill(undefined)
      const moments: { readonly key: string; readonly atMs: number }[] = []
      const of: number[] = []
      for (let v = 0; v < vectors.length; v++) {
        const vector = vectors[v]!
        const { keys } = vector
        // A view whose key the request did not bring was served its defaults.
        if (view.keys.some(({ name }) => keys[name] === undefined || keys[name] === null)) continue
        try {
          moments.push({ key: encodeKey(view.keys, (name) => keys[name]), atMs: vector.atMs - back(v, view) })
          of.push(v)
        } catch (error) {
          if (usable[v]) {
            const reason = error instanceof Error ? error.message : String(error)
            this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1)
          }
          usable[v] = false
        }
      }
      if (moments.length > 0) {
        const values = await this.#store.valuesAt(view, moments)
        for (let i = 0; i < of.length; i++) rows[of[i]!] = values[i]
      }
      this.#rows.set(view, rows)
    }
    for (const view of this.#service.onDemand) {
      if (!view.views.every((of) => views.has(of))) continue
      this.#computed.set(
        view,
        vectors.map((vector, v) => recompute(view, this.#service, vector, (of) => this.#rows.get(of)?.[v])),
      )
    }
    return usable
  }

  /** null where there is none: an unknown key has no value, whatever default it is served. */
  valueAt(vector: number, { from }: ServiceFeature): Value {
    const rows = from.kind === 'view' ? this.#rows.get(from.view) : this.#computed.get(from.view)
    return rows?.[vector]?.[from.index] ?? null
  }
}

/** How long before its own moment a vector's view is looked at. */
type Back = (vector: ServedVector, view: CompiledView) => number

/** Moments of the time that taking events in may take; and, where a view is materialised every so often, of that. */
function lateMoments(service: CompiledService, graceMs: number): Back[] {
  const backs: Back[] = [
    (vector, view) => Math.min(sinceNewest(vector, view, service) ?? graceMs, boundOf(view, graceMs)),
  ]
  for (const part of LATE_STEPS) backs.push(() => graceMs * part)
  if (service.views.some((view) => behindMs(view) > 0)) {
    for (const part of LATE_STEPS) backs.push((_, view) => graceMs + behindMs(view) * part)
  }
  return backs
}

const viewsOf = ({ from }: ServiceFeature): readonly CompiledView[] =>
  from.kind === 'view' ? [from.view] : from.view.views

const boundOf = (view: CompiledView, graceMs: number): number => graceMs + behindMs(view)

/** How long a view may be behind by its definition: one that a stream feeds may not. */
const behindMs = (view: CompiledView): number => (view.stream === undefined ? (view.everyMs ?? 0) : 0)

/** Since the newest row or event that was served: what came later was not in. */
function sinceNewest(vector: ServedVector, view: CompiledView, service: CompiledService): number | undefined {
  for (const { name, from } of service.features) {
    if (from.kind !== 'view' || from.view !== view) continue
    const ageMs = vector.agesMs[name]
    // A window does not hold the event at its very end.
    if (ageMs !== undefined) return Math.max(0, view.kind === 'rows' ? ageMs : ageMs - 1)
  }
  return undefined
}

interface Differing {
  readonly vector: number
  readonly feature: number
  readonly difference: Difference
}

/** Which of the differing values are those of a little earlier. */
async function lateOnes(
  differing: readonly Differing[],
  vectors: readonly ServedVector[],
  service: CompiledService,
  options: VerifyOptions,
  tolerance: number,
  graceMs: number,
): Promise<boolean[]> {
  const late = new Array<boolean>(differing.length).fill(false)
  if (graceMs <= 0) return late
  const backs = lateMoments(service, graceMs)
  const which = [...new Set(differing.map(({ vector }) => vector))]
  const views = new Set(differing.flatMap(({ feature }) => viewsOf(service.features[feature]!)))
  for (let from = 0; from < which.length; from += LATE_VECTORS) {
    options.signal?.throwIfAborted()
    const some = which.slice(from, from + LATE_VECTORS)
    const place = new Map(some.map((vector, at) => [vector, at]))
    // Every moment of every vector in one reading of history.
    const earlier = new OfflineValues(service, options.offline)
    const moments = some.flatMap((vector) => backs.map(() => vectors[vector]!))
    await earlier.load(moments, (at, view) => backs[at % backs.length]!(moments[at]!, view), views)
    for (let i = 0; i < differing.length; i++) {
      const { vector, feature, difference } = differing[i]!
      const at = place.get(vector)
      if (at === undefined) continue
      const of = service.features[feature]!
      late[i] = backs.some((_, back) => {
        const expected = earlier.valueAt(at * backs.length + back, of)
        return differenceOf(of.type, difference.served, expected, tolerance) === undefined
      })
    }
  }
  return late
}
