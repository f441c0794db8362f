// The versions a pool knows, by model and number, and which is each model's latest. Requests read the maps; they are kept up to date
// by the rare changes of state.
import type { ModelName, VersionRef } from '../../core/index.js'
import type { ServedVersion } from '../types.js'
import type { Entry } from './entry.js'

export class Models {
  readonly #models = new Map<ModelName, Map<number, Entry>>()
  readonly #latest = new Map<ModelName, ServedVersion>()
  /** Versions that somebody may have to wait for before they can be described. */
  readonly #asleep = new Set<Entry>()

  get names(): ModelName[] {
    return [...this.#models.keys()]
  }

  get isServing(): boolean {
    if (this.#latest.size > 0) return true
    for (const { state } of this.#asleep) if (state !== 'failed') return true
    return false
  }

  get hasSleepers(): boolean {
    return this.#asleep.size > 0
  }

  find({ model, version }: VersionRef): Entry | undefined {
    return this.#models.get(model)?.get(version)
  }

  /** By number. */
  of(model: ModelName): Entry[] {
    return [...(this.#models.get(model)?.values() ?? [])].sort((a, b) => a.ref.version - b.ref.version)
  }

  /** By model, then number. */
  all(): Entry[] {
    return this.names.sort().flatMap((model) => this.of(model))
  }

  latest(model: ModelName): ServedVersion | undefined {
    return this.#latest.get(model)
  }

  /** The version that is the latest, or would be if it were described. */
  newest(model: ModelName): Entry | undefined {
    const entries = this.of(model)
    const newest = entries.findLast((entry) => entry.isCandidate && (entry.state === 'ready' || entry.isAtRest))
    return newest ?? entries.findLast((entry) => entry.state === 'failed' && entry.mayRetry)
  }

  /** A version of the model has been loaded well since the server started. */
  hasProven(model: ModelName): boolean {
    for (const entry of this.#models.get(model)?.values() ?? []) if (entry.hasLoaded) return true
    return false
  }

  place(entry: Entry): void {
    const { model, version } = entry.ref
    const versions = this.#models.get(model) ?? new Map<number, Entry>()
    const before = versions.get(version)
    if (before !== undefined) this.#asleep.delete(before)
    this.#models.set(model, versions.set(version, entry))
  }

  /** False: another has taken its place, or it is gone. */
  remove(entry: Entry): boolean {
    const { ref } = entry
    this.#asleep.delete(entry)
    if (this.find(ref) !== entry) return false
    const versions = this.#models.get(ref.model)!
    versions.delete(ref.version)
    if (versions.size === 0) this.#models.delete(ref.model)
    return true
  }

  /** To be called when the state of a version has changed. */
  update(entry: Entry): void {
    const { model } = entry.ref
    const newest = this.newest(model)
    if (newest?.served !== undefined && newest.state !== 'failed') this.#latest.set(model, newest.served)
    else this.#latest.delete(model)
    if (this.find(entry.ref) === entry && (entry.state === 'failed' ? entry.mayRetry : entry.isAsleep(0)))
      this.#asleep.add(entry)
    else this.#asleep.delete(entry)
  }
}
