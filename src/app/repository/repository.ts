// Which versions of the models that were found are served, and with what in place of their model.json: all, unless somebody
// loaded or unloaded a model by hand. A load is tried before it is decided: what is served goes on until everything that was asked for
// is loaded and warm, and when it is not, nothing has changed. Every process follows the decision, the one that tried it with what it
// has loaded already.
import {
  HeadraceError,
  type ModelName,
  type Platform,
  parseModelName,
  toHeadraceError,
  type VersionRef,
  versionKey,
} from '../../core/index.js'
import type { Actor, Decision, Evidence } from '../../decisions/index.js'
import type { Pool, ServedVersion, StagedVersion } from '../../serving/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import type { Engines } from '../engines.js'
import type { LoadedProject } from '../load-project.js'
import { configOf } from './config-of.js'
import { loading, modelOfDecision, pushedVersions, unloading } from './decisions.js'
import { RepositoryErrors } from './errors.js'
import { checkRest, type ReadConfig, readConfig } from './load-config.js'
import { type ModelOverride, overlay, overrideText, readOverride, servedVersions } from './override.js'
import { pushFiles } from './push-files.js'
import type { LoadRequest, VersionPolicy } from './types.js'

export interface RepositoryOptions {
  readonly project: LoadedProject
  readonly platform: Platform
  readonly engines: Engines
  readonly pool: Pool
  /** Versions by `model/version`, kept up to date by whoever follows the source. */
  readonly found: ReadonlyMap<string, VersionRef>
  /** A version's artifact as its source has it. */
  readonly obtain: (ref: VersionRef) => Promise<VersionArtifact>
  /** Loads a version as at start; what goes wrong is kept as its state. */
  readonly load: (ref: VersionRef) => Promise<void>
  /** Whether requests for the endpoint of this name may be answered from the cache. */
  readonly isCached: (name: string) => boolean
}

/** A folder is looked at every two seconds at the latest, and has to be quiet for half of one. */
const FIND_LIMIT_MS = 15_000
const FIND_PAUSE_MS = 50

/** A version loaded on trial, for the decision that is about to be made. */
interface Trial {
  readonly staged: StagedVersion
  readonly part: string
}

export class Repository {
  readonly #options: RepositoryOptions
  /** What each version in the pool has in place of its model.json. */
  readonly #parts = new Map<string, string>()
  readonly #trials = new Map<string, Trial>()
  /** Versions that come with a load that is not decided yet: they are not to be served as things were before it. */
  readonly #coming = new Set<string>()
  /** One load or unload of a model at a time, and apart from these one change of what the pool has of it. */
  readonly #acts = new Turns()
  readonly #changes = new Turns()

  constructor(options: RepositoryOptions) {
    this.#options = options
  }

  /** Whether a version that was found is to be served. */
  wants(ref: VersionRef): boolean {
    const { model, version } = ref
    if (this.#coming.has(versionKey(ref))) return false
    return !this.#options.engines.registry().repository.has(model) || this.#wanted(model).includes(version)
  }

  /** Which of a model's versions are served, as Triton says it. */
  versionPolicy(model: ModelName): VersionPolicy {
    const { versions } = this.#override(model)
    if (versions === undefined) return { all: {} }
    return 'latest' in versions
      ? { latest: { num_versions: versions.latest } }
      : { specific: { versions: versions.specific } }
  }

  /** A version as it is to be loaded. Throws REGISTRY_MANIFEST_INVALID when its model.json and the config do not go together. */
  prepare(artifact: VersionArtifact): VersionArtifact {
    const override = this.#override(artifact.ref.model)
    const prepared = withOverride(artifact, override)
    this.#parts.set(versionKey(artifact.ref), partOf(override))
    return prepared
  }

  /** Rejects with REPOSITORY_ errors and what a decision rejects with. */
  load(request: LoadRequest, evidence: Evidence, by: Actor): Promise<void> {
    return this.#acts.take(request.model, () => this.#load(request, evidence, by))
  }

  /** Resolves when the model's calls have ended, in every process. */
  unload(name: string, evidence: Evidence, by: Actor): Promise<void> {
    return this.#acts.take(name, async () => {
      const { engines, pool } = this.#options
      const model = name as ModelName
      if (this.#numbers(model).length === 0 && !pool.statuses().some(({ ref }) => ref.model === model))
        throw this.#unknown('unload', name)
      await engines.decide(unloading(name), evidence, by)
    })
  }

  /** Lets a decision about a model take effect in this process. */
  async follow({ change }: Decision): Promise<void> {
    const model = modelOfDecision(change)
    if (model === undefined) return
    for (const version of pushedVersions(change)) {
      await this.#find({ model, version }).catch((error: HeadraceError) => {
        this.#options.platform.logger.error({ model, version, err: error }, error.message)
      })
    }
    await this.#changes.take(model, () => this.#settle(model, true))
  }

  /** Has the pool hold what is to be served of a model, after versions came or went. */
  async settle(model: ModelName): Promise<void> {
    if (!this.#options.engines.registry().repository.has(model)) return
    await this.#changes.take(model, () => this.#settle(model, false))
  }

  async #load({ model: name, config, files }: LoadRequest, evidence: Evidence, by: Actor): Promise<void> {
    const { engines } = this.#options
    const model = parseModelName(name)
    if (model === undefined) throw this.#unknown('load', name)
    const read = config === undefined ? NO_CONFIG : readConfig(model, config)
    const coming = [...(files?.keys() ?? [])].map((path) => ({ model, version: Number.parseInt(path, 10) }))
    const absent = coming.filter((ref) => !this.#options.found.has(versionKey(ref)))
    for (const ref of absent) this.#coming.add(versionKey(ref))
    const tried: string[] = []
    try {
      const pushed = files === undefined || files.size === 0 ? [] : await this.#push(model, config, read, files)
      const found = this.#numbers(model)
      if (found.length === 0) throw this.#unknown('load', name)
      const wanted = servedVersions(found, read.override)
      checkVersions(model, found, read.override, wanted)
      const loaded = await Promise.all(wanted.map((version) => this.#try({ model, version }, read.override, tried)))
      this.#check(model, read, loaded)
      await engines.decide(loading(model, overrideText(read.override), pushed), evidence, by)
    } finally {
      for (const key of tried) this.#drop(key)
      await this.#welcome(absent)
    }
  }

  /** What was written stays when the load of which it was part came to nothing: it is served like all that is found. */
  async #welcome(refs: readonly VersionRef[]): Promise<void> {
    const { found, load, pool } = this.#options
    for (const ref of refs) {
      const key = versionKey(ref)
      this.#coming.delete(key)
      if (found.has(key) && pool.status(ref) === undefined) await load(ref)
    }
  }

  /** Has a version loaded as it is to be, on trial unless it is so already. Throws REPOSITORY_LOAD_FAILED. */
  async #try(ref: VersionRef, override: ModelOverride, tried: string[]): Promise<ServedVersion | undefined> {
    const { pool, obtain } = this.#options
    const key = versionKey(ref)
    const part = partOf(override)
    try {
      if (this.#parts.get(key) === part) {
        const before = pool.status(ref)?.state
        if (before === 'loading' || before === 'resting') await pool.load(await obtain(ref))
        const state = pool.status(ref)?.state
        // It may have made room for another already.
        if (state === 'ready' || state === 'unready' || state === 'resting')
          return pool.get(ref) ?? pool.lastSeen(ref.model, ref.version)
      }
      const staged = await pool.stage(withOverride(await obtain(ref), override))
      this.#trials.set(key, { staged, part })
      tried.push(key)
      return staged.served
    } catch (error) {
      throw loadFailed(ref, error)
    }
  }

  #drop(key: string): void {
    const trial = this.#trials.get(key)
    this.#trials.delete(key)
    void trial?.staged.discard()
  }

  #check(model: string, { rest }: ReadConfig, loaded: readonly (ServedVersion | undefined)[]): void {
    const configs = loaded.flatMap((served) =>
      served === undefined
        ? []
        : configOf(model, served, { isCached: this.#options.isCached(model), policy: { all: {} } }),
    )
    checkRest(model, rest, configs)
  }

  async #push(
    model: ModelName,
    config: string | undefined,
    read: ReadConfig,
    files: ReadonlyMap<string, Uint8Array>,
  ): Promise<number[]> {
    const { pool, project } = this.#options
    if (config === undefined)
      throw RepositoryErrors.CONFIG_INVALID({ model, problem: 'files are given and it is not; {} will do' })
    const pushed = await pushFiles(project, model, files, async (artifact) => {
      try {
        const staged = await pool.stage(withOverride(artifact, read.override))
        await staged.discard()
        this.#check(model, read, [staged.served])
      } catch (error) {
        throw loadFailed(artifact.ref, error)
      }
    })
    for (const version of pushed) await this.#find({ model, version })
    return pushed
  }

  /** Resolves when the source has a version that was written for it. Throws REPOSITORY_NOT_NOTICED. */
  async #find(ref: VersionRef): Promise<void> {
    const { found, platform } = this.#options
    const { clock } = platform
    const endMs = clock.monotonicMs() + FIND_LIMIT_MS
    while (!found.has(versionKey(ref))) {
      if (clock.monotonicMs() >= endMs) throw RepositoryErrors.NOT_NOTICED({ ...ref, waitedMs: FIND_LIMIT_MS })
      await new Promise<void>((resolve) => clock.after(FIND_PAUSE_MS, resolve))
    }
  }

  async #settle(model: ModelName, wakes: boolean): Promise<void> {
    const { pool } = this.#options
    const wanted = this.#wanted(model)
    const override = this.#override(model)
    await Promise.all(wanted.map((version) => this.#bring({ model, version }, override, wakes)))
    // Only now, so that there is always one that answers.
    const unwanted = pool.statuses().filter(({ ref }) => ref.model === model && !wanted.includes(ref.version))
    await Promise.all(
      unwanted.map(({ ref }) => {
        this.#parts.delete(versionKey(ref))
        return pool.unload(ref)
      }),
    )
  }

  /** Never rejects: a version that cannot be loaded as it should be is served on as it is. */
  async #bring(ref: VersionRef, override: ModelOverride, wakes: boolean): Promise<void> {
    const { pool, obtain, load, platform } = this.#options
    const key = versionKey(ref)
    const part = partOf(override)
    try {
      const state = pool.status(ref)?.state
      const trial = this.#trials.get(key)
      if (trial?.part === part) {
        this.#trials.delete(key)
        await trial.staged.commit()
        this.#parts.set(key, part)
      } else if (state === undefined || (wakes && state === 'failed')) await load(ref)
      else if (this.#parts.get(key) !== part) {
        const staged = await pool.stage(withOverride(await obtain(ref), override))
        await staged.commit()
        this.#parts.set(key, part)
      }
      if (wakes) await pool.wake(ref)
    } catch (error) {
      const failure = toHeadraceError(error)
      platform.logger.error({ ...ref, err: failure }, `a version could not be loaded as decided: ${failure.message}`)
    }
  }

  #numbers(model: string): number[] {
    return [...this.#options.found.values()].filter((ref) => ref.model === model).map(({ version }) => version)
  }

  #wanted(model: ModelName): number[] {
    const setting = this.#options.engines.registry().repository.get(model)
    return setting?.isUnloaded ? [] : servedVersions(this.#numbers(model), this.#override(model))
  }

  #override(model: ModelName): ModelOverride {
    const text = this.#options.engines.registry().repository.get(model)?.override
    return text === undefined ? NO_OVERRIDE : readOverride(text)
  }

  #unknown(act: 'load' | 'unload', name: string): HeadraceError {
    const known = [...new Set([...this.#options.found.values()].map(({ model }) => model))]
    return RepositoryErrors.MODEL_UNKNOWN({ act, model: name.slice(0, 128), known })
  }
}

const NO_OVERRIDE: ModelOverride = {}
const NO_CONFIG: ReadConfig = { override: NO_OVERRIDE, rest: {} }

function withOverride(artifact: VersionArtifact, override: ModelOverride): VersionArtifact {
  const manifest = overlay(artifact.manifest, override)
  return manifest === artifact.manifest ? artifact : { ...artifact, manifest }
}

/** What of an override a version has to be loaded anew for. */
function partOf({ batching, instances }: ModelOverride): string {
  return JSON.stringify([batching, instances])
}

function checkVersions(
  model: string,
  found: readonly number[],
  { versions }: ModelOverride,
  wanted: readonly number[],
): void {
  const specific = versions !== undefined && 'specific' in versions ? versions.specific : wanted
  const absent = specific.find((version) => !found.includes(version))
  if (absent !== undefined)
    throw RepositoryErrors.LOAD_FAILED({
      model,
      version: absent,
      reason: `it is not there; its versions are ${found.slice(-20).join(', ')}.`,
    })
}

function loadFailed({ model, version }: VersionRef, error: unknown): HeadraceError {
  const cause = toHeadraceError(error)
  if (cause instanceof HeadraceError && cause.code.startsWith('REPOSITORY_')) return cause
  const reason = cause.message.replace(/^failed to load '[^']*'( version \d+)?: /, '').replace(/[^.!?]$/, '$&.')
  return RepositoryErrors.LOAD_FAILED({ model, version, reason }, cause)
}

/** Lets callers have their turns one after the other, by name. */
class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(work)
    const ended = turn
      .catch(() => undefined)
      .then(() => {
        if (this.#last.get(name) === ended) this.#last.delete(name)
      })
    this.#last.set(name, ended)
    return turn
  }
}
