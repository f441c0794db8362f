// The versions a server holds. A version that fails to load stays here as `failed`, with its reason, and disturbs no other.
// Requests read from two maps that are kept up to date by the rare changes of state.
import { HeadraceError, type ModelName, type VersionRef, versionKey } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import { ServingErrors } from './errors.js'
import { createLeaf } from './leaf.js'
import { createServingMetrics, type VersionMetrics } from './metrics.js'
import { callerSignature } from './padding.js'
import type {
  Backend,
  Pool,
  PooledLeaf,
  PoolOptions,
  ServedVersion,
  StagedVersion,
  VersionState,
  VersionStatus,
} from './types.js'
import { warmUp } from './warmup.js'

/** A version and all that belongs to it, from the start of its load to the end of its unload. */
interface Entry {
  readonly ref: VersionRef
  readonly artifact: VersionArtifact
  readonly metrics: VersionMetrics
  state: VersionState
  reason: string | undefined
  error: HeadraceError | undefined
  backend: Backend | undefined
  leaf: PooledLeaf | undefined
  served: ServedVersion | undefined
  /** Settled when a load or unload under way is over; it never rejects. */
  work: Promise<unknown>
}

export function createPool(options: PoolOptions): Pool {
  const { platform, factories, cache, warmupInputs = () => [], defer = setImmediate, closeTimeoutMs = 10_000 } = options
  const { clock, logger } = platform
  const metrics = createServingMetrics(platform.metrics)
  const models = new Map<ModelName, Map<number, Entry>>()
  const latest = new Map<ModelName, ServedVersion>()
  const watchers = new Set<(status: VersionStatus) => void>()
  let isClosed = false

  const find = ({ model, version }: VersionRef): Entry | undefined => models.get(model)?.get(version)

  function change(entry: Entry, state: VersionState, error?: HeadraceError, reason = error?.message): void {
    entry.state = state
    entry.reason = reason
    entry.error = error
    entry.metrics.ready.set(state === 'ready' ? 1 : 0)
    const { model } = entry.ref
    const newest = entries(model).findLast((other) => other.state === 'ready')
    if (newest?.served) latest.set(model, newest.served)
    else latest.delete(model)
    const status = statusOf(entry)
    for (const watcher of watchers) {
      try {
        watcher(status)
      } catch (cause) {
        // A watcher that fails must not stop a load halfway, nor keep the news from the others.
        logger.error({ err: cause, ...entry.ref }, 'a watcher of the pool failed')
      }
    }
  }

  /** A model's versions by number. */
  function entries(model: ModelName): Entry[] {
    return [...(models.get(model)?.values() ?? [])].sort((a, b) => a.ref.version - b.ref.version)
  }

  function createEntry(artifact: VersionArtifact): Entry {
    const entry = newEntry(artifact)
    place(entry)
    return entry
  }

  function newEntry(artifact: VersionArtifact): Entry {
    const { ref } = artifact
    return {
      ref,
      artifact,
      metrics: find(ref)?.metrics ?? metrics.bind(ref),
      state: 'loading',
      reason: undefined,
      error: undefined,
      backend: undefined,
      leaf: undefined,
      served: undefined,
      work: Promise.resolve(),
    }
  }

  function place(entry: Entry): void {
    const { model, version } = entry.ref
    const versions = models.get(model) ?? new Map<number, Entry>()
    models.set(model, versions.set(version, entry))
  }

  function removeEntry(entry: Entry): void {
    const { ref } = entry
    if (find(ref) !== entry) return
    const versions = models.get(ref.model)
    versions?.delete(ref.version)
    if (versions?.size === 0) models.delete(ref.model)
    metrics.forget(ref)
  }

  async function bringUp(entry: Entry): Promise<void> {
    try {
      await open(entry)
      change(entry, 'ready')
    } catch (error) {
      change(entry, 'failed', error as HeadraceError)
    }
  }

  /** Loads and warms up. Throws why not, with nothing left open. */
  async function open(entry: Entry): Promise<void> {
    const { ref, artifact, metrics } = entry
    const { manifest } = artifact
    const startedMs = clock.monotonicMs()
    try {
      const factory = factories.get(artifact.backend)
      if (!factory)
        throw ServingErrors.BACKEND_UNKNOWN({ ...ref, backend: artifact.backend, known: [...factories.keys()] })
      const backend = await factory(artifact, { platform })
      entry.backend = backend
      const { signature, isolation } = backend
      // Its runs may hang, and it may itself know that it cannot answer.
      let hangs: string | undefined
      let ails: string | undefined
      const tellReadiness = (): void => {
        if (entry.leaf !== leaf) return
        const reason = hangs ?? ails
        if (entry.state === 'ready' && reason !== undefined) change(entry, 'unready', undefined, reason)
        else if (entry.state === 'unready' && reason === undefined) change(entry, 'ready')
        else if (entry.state === 'unready') entry.reason = reason
      }
      const onReadiness = (reason: string | undefined): void => {
        hangs = reason
        tellReadiness()
      }
      const leaf = createLeaf({
        version: ref,
        digest: artifact.digest,
        kind: artifact.backend,
        backend,
        manifest,
        cache,
        clock,
        logger,
        metrics,
        defer,
        soon: options.defer ?? process.nextTick,
        onReadiness,
      })
      entry.leaf = leaf
      backend.onHealth?.((reason) => {
        ails = reason
        tellReadiness()
      })
      const labels = manifest.labels ?? backend.labels
      entry.served = {
        ref,
        key: versionKey(ref),
        digest: artifact.digest,
        kind: artifact.backend,
        signature: callerSignature(ref.model, manifest.batching, signature),
        manifest,
        labels,
        isolation,
        leaf,
      }
      try {
        await warmUp(leaf, signature, warmupInputs(artifact, signature), Deadline.in(clock, manifest.timeoutMs))
      } catch (cause) {
        throw ServingErrors.WARMUP_FAILED({ ...ref, detail: textOf(cause) }, cause)
      }
      metrics.statistics.loadMs = clock.monotonicMs() - startedMs
    } catch (cause) {
      const error =
        cause instanceof HeadraceError ? cause : ServingErrors.LOAD_FAILED({ ...ref, detail: textOf(cause) }, cause)
      await closeBackend(entry)
      throw error
    }
  }

  /** Frees a backend, which may take for ever when a run hangs in it. */
  async function closeBackend(entry: Entry): Promise<void> {
    const { backend } = entry
    entry.backend = undefined
    if (!backend) return
    await new Promise<void>((resolve) => {
      const timer = clock.after(closeTimeoutMs, () => {
        logger.warn({ ...entry.ref }, `the backend did not close within ${closeTimeoutMs} ms and is left behind`)
        resolve()
      })
      const done = (cause?: unknown): void => {
        timer.cancel()
        if (cause !== undefined) logger.warn({ err: cause, ...entry.ref }, 'the backend did not close cleanly')
        resolve()
      }
      backend.close().then(() => done(), done)
    })
  }

  async function takeDown(entry: Entry): Promise<void> {
    // Calls that were resolved a moment ago still come in and are answered: nobody is turned away by a version's replacement.
    await entry.leaf?.close()
    await closeBackend(entry)
    removeEntry(entry)
    change(entry, 'unloaded')
  }

  async function load(artifact: VersionArtifact): Promise<VersionStatus> {
    const { ref } = artifact
    for (let entry = find(ref); entry !== undefined && !isClosed; entry = find(ref)) {
      if (entry.artifact.digest !== artifact.digest && entry.state !== 'failed') {
        const error = ServingErrors.VERSION_CHANGED({ ...ref, served: entry.artifact.digest, arrived: artifact.digest })
        logger.warn({ err: error, ...ref }, error.message)
        return { ref, state: entry.state, reason: error.message, error }
      }
      if (entry.state === 'ready' || entry.state === 'unready') return statusOf(entry)
      if (entry.state === 'failed') removeEntry(entry)
      else {
        const isLoading = entry.state === 'loading'
        await entry.work
        if (isLoading) return statusOf(entry)
      }
    }
    if (isClosed) return { ref, state: 'failed', reason: 'the server is shutting down', error: undefined }
    const entry = createEntry(artifact)
    change(entry, 'loading')
    entry.work = bringUp(entry)
    await entry.work
    return statusOf(entry)
  }

  async function stage(artifact: VersionArtifact): Promise<StagedVersion> {
    const { ref } = artifact
    const entry = newEntry(artifact)
    await open(entry)
    return {
      served: entry.served!,
      async commit() {
        for (let old = find(ref); old?.state === 'unloading'; old = find(ref)) await old.work
        const old = find(ref)
        place(entry)
        change(entry, 'ready')
        if (old !== undefined) await retire(old)
      },
      async discard() {
        await entry.leaf?.close()
        await closeBackend(entry)
        if (find(ref) === undefined) metrics.forget(ref)
      },
    }
  }

  /** Lets the calls of a version that another took the place of finish, and frees it. */
  async function retire(entry: Entry): Promise<void> {
    await entry.work
    const { leaf } = entry
    // What becomes of it is no news of the version any more.
    entry.leaf = undefined
    await leaf?.close()
    await closeBackend(entry)
  }

  function register(artifact: VersionArtifact): VersionStatus {
    const entry = find(artifact.ref) ?? createEntry(artifact)
    if (entry.state === 'loading' && entry.served === undefined) change(entry, 'resting')
    return statusOf(entry)
  }

  function wake({ model, version }: { model: ModelName; version: number | 'latest' }): Promise<void> | undefined {
    if (version === 'latest' && latest.has(model)) return undefined
    const entry = version === 'latest' ? entries(model).at(-1) : find({ model, version })
    if (entry?.state !== 'resting') return undefined
    change(entry, 'loading')
    entry.work = bringUp(entry)
    return entry.work.then(() => undefined)
  }

  async function restart(ref: VersionRef, error: HeadraceError): Promise<void> {
    const entry = find(ref)
    if (entry?.state !== 'ready' && entry?.state !== 'unready') return
    change(entry, 'loading', error, `it is being loaded again: ${error.message}`)
    // The leaf that takes its place keeps answers of its own.
    void entry.leaf?.close()
    entry.work = closeBackend(entry).then(() => bringUp(entry))
    await entry.work
  }

  async function unload(ref: VersionRef): Promise<void> {
    for (let entry = find(ref); entry !== undefined; entry = find(ref)) {
      if (entry.state !== 'loading' && entry.state !== 'unloading') {
        change(entry, 'unloading')
        entry.work = takeDown(entry)
      }
      await entry.work
      if (entry.state === 'unloaded') return
    }
  }

  function get(ref: VersionRef): ServedVersion | undefined {
    const entry = find(ref)
    return entry?.state === 'ready' || entry?.state === 'unready' ? entry.served : undefined
  }

  /** Why a request for something known gets no version. */
  function unready({ ref, state, reason }: Entry): HeadraceError {
    return ServingErrors.MODEL_UNREADY({ ...ref, reason: reason ?? `it is ${state}`, retryAfterMs: 1000 })
  }

  return {
    load,
    stage,
    register,
    wake,
    memory: () => ({ budgetBytes: Number.POSITIVE_INFINITY, usedBytes: 0, versions: [] }),
    unload,
    restart,
    get,
    latest: (model) => latest.get(model),
    resolve(model, version) {
      const served = version === 'latest' ? latest.get(model) : get({ model, version })
      if (served !== undefined) return served
      const known = entries(model)
      if (known.length === 0) throw ServingErrors.MODEL_NOT_FOUND({ model, known: [...models.keys()] })
      const entry = version === 'latest' ? known.at(-1) : find({ model, version })
      if (entry !== undefined) throw unready(entry)
      throw ServingErrors.VERSION_NOT_FOUND({
        model,
        version: Number(version),
        known: known.map(({ ref }) => ref.version),
      })
    },
    lastSeen(model, version) {
      const served = entries(model).flatMap((entry) => entry.served ?? [])
      return version === 'latest' ? served.at(-1) : served.find(({ ref }) => ref.version === version)
    },
    status(ref) {
      const entry = find(ref)
      return entry && statusOf(entry)
    },
    statistics: (ref) => metrics.statistics.get(ref),
    allStatistics: () => metrics.statistics.list(),
    statuses: () => [...models.keys()].sort().flatMap((model) => entries(model).map(statusOf)),
    watch(watcher) {
      watchers.add(watcher)
      return () => void watchers.delete(watcher)
    },
    dropCancelled() {
      for (const versions of models.values()) for (const entry of versions.values()) entry.leaf?.dropCancelled()
    },
    async close() {
      isClosed = true
      await Promise.all([...models.keys()].flatMap((model) => entries(model).map(({ ref }) => unload(ref))))
    },
  }
}

function statusOf({ ref, state, reason, error }: Entry): VersionStatus {
  return { ref, state, reason, error }
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
