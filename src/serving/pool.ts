// The versions a server holds under one budget of memory. Some are loaded; the others rest, and are loaded when somebody asks for them.
// A version that fails to load stays here as `failed`, with its reason, and disturbs no other.
import type { HeadraceError, ModelName, VersionRef } from '../core/index.js'
import { versionKey } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import type { Batcher } from './batcher.js'
import { ServingErrors } from './errors.js'
import { createServingMetrics, type VersionMetrics } from './metrics.js'
import { Budget } from './pool/budget.js'
import { Entry } from './pool/entry.js'
import { type LoadReason, Loads } from './pool/loads.js'
import { measureOneByOne } from './pool/measuring.js'
import { Models } from './pool/models.js'
import { matching } from './pool/name-patterns.js'
import { closeBackend, type Opened, openVersion } from './pool/open-version.js'
import { createPoolMetrics, type EvictionReason } from './pool/pool-metrics.js'
import { watchRealMemory } from './pool/real-memory.js'
import { chooseSurplus, coldestFirst } from './pool/room.js'
import { WakingLeaf } from './pool/waking-leaf.js'
import type { Pool, PoolOptions, ServedVersion, StagedVersion, VersionState, VersionStatus } from './types.js'

/** At once: on a machine with few cores more would only wait for each other. */
const MAX_LOADS = 4
/** What is loaded in another's place leaves the others time to work. */
const MAX_SWAPS = 2
/** A version stays at least so long, and so many times as long as its load took: the most that loading may cost. */
const SHORTEST_STAY_MS = 1_000
const STAY_PER_LOAD = 5
const SURPLUS_PAUSE_MS = 1_000

export function createPool(options: PoolOptions): Pool {
  const { platform, cache, kept, descriptions, idleMs = 3_600_000, loadTimeoutMs = 120_000 } = options
  const { budgetBytes = Number.POSITIVE_INFINITY, reservations = [], pinned = [] } = options
  const { clock, logger } = platform
  const opening = {
    platform,
    factories: options.factories,
    warmupInputs: options.warmupInputs ?? (() => []),
    defer: options.defer ?? setImmediate,
    soon: options.defer ?? process.nextTick,
    closeTimeoutMs: options.closeTimeoutMs ?? 10_000,
  }
  const metrics = createServingMetrics(platform.metrics)
  const poolMetrics = createPoolMetrics(platform.metrics)
  const boundMetrics = new Map<string, VersionMetrics>()
  const models = new Models()
  const budget = new Budget(budgetBytes, reservations)
  const reservedBytes = reservations.reduce((sum, { bytes }) => sum + bytes, 0)
  if (reservedBytes > budgetBytes)
    throw ServingErrors.RESERVATIONS_TOO_LARGE({
      reservedMb: megabytes(reservedBytes),
      budgetMb: megabytes(budgetBytes),
    })
  const isPinnedName = matching(pinned)
  /** Versions that are loaded and may be called. */
  const residents = new Set<Entry>()
  const waking = new Set<Entry>()
  const leavings = new Set<Promise<void>>()
  const watchers = new Set<(status: VersionStatus) => void>()
  let isClosed = false
  let isIdleWatched = false
  let isSurplusDue = false
  if (Number.isFinite(budgetBytes)) poolMetrics.budgetBytes.set(budgetBytes)

  const loads = new Loads<Entry, Entry>({
    clock,
    budget,
    maxLoads: MAX_LOADS,
    maxSwaps: MAX_SWAPS,
    residents: () => residents,
    evict: (entry) => evict(entry, 'pressure'),
    leaving: () => leavings,
    charge: (entry) => charge(entry, entry.bytes),
    load: open,
    full: (entry, waiting) =>
      ServingErrors.POOL_FULL({
        ...entry.ref,
        ...sizes(entry),
        retryAfterMs: 1000,
        ...(waiting === undefined ? {} : { waiting }),
      }),
    unwanted: ({ ref }) => ServingErrors.CANCELLED({ model: ref.model }),
    waited: (ms) => poolMetrics.waitSeconds.observe(ms / 1000),
  })
  const measuring = measureOneByOne(options.measure, platform, (bytes) => budget.excessBytes() + bytes <= 0)
  const stopWatching = watchRealMemory(options.residentBytes, budget, platform, () => {
    const [coldest] = coldestFirst(residents, clock.monotonicMs()).filter(({ resident }) => !resident.isBusy)
    if (coldest !== undefined) evict(coldest.resident, 'memory')
    return coldest !== undefined
  })

  function sizes(entry: Entry): { sizeMb: number; budgetMb: number } {
    return { sizeMb: megabytes(entry.bytes), budgetMb: megabytes(budget.largestBytes(entry.group)) }
  }

  function metricsOf(ref: VersionRef): VersionMetrics {
    const key = versionKey(ref)
    let bound = boundMetrics.get(key)
    if (bound === undefined) {
      bound = metrics.bind(ref)
      boundMetrics.set(key, bound)
    }
    return bound
  }

  function forgetMetrics(ref: VersionRef): void {
    if (boundMetrics.delete(versionKey(ref))) metrics.forget(ref)
  }

  function change(entry: Entry, state: VersionState, error?: HeadraceError, reason = error?.message): void {
    entry.state = state
    entry.reason = reason
    entry.error = error
    // What another has taken the place of is no news.
    if (state !== 'unloaded' && models.find(entry.ref) !== entry) return
    const bound = state === 'loading' ? metricsOf(entry.ref) : boundMetrics.get(versionKey(entry.ref))
    // A version at rest takes traffic: its callers wait a little.
    bound?.ready.set(state === 'ready' || (entry.hasLoaded && entry.isAtRest) ? 1 : 0)
    models.update(entry)
    const status = entry.status()
    for (const watcher of watchers) {
      try {
        watcher(status)
      } catch (cause) {
        // A watcher that fails must not stop a load halfway, nor keep the news from the others.
        logger.error({ err: cause, ...entry.ref }, 'a watcher of the pool failed')
      }
    }
  }

  function charge(entry: Entry, bytes: number): void {
    entry.group.usedBytes += bytes - entry.chargedBytes
    entry.chargedBytes = bytes
    poolMetrics.usedBytes.set(budget.usedBytes)
  }

  function createEntry(artifact: VersionArtifact, isLazy: boolean, isCandidate: boolean): Entry {
    const { ref, manifest } = artifact
    const isPinned = manifest.pinned === true || isPinnedName(ref.model)
    const group = budget.groupOf(ref.model)
    const entry = new Entry({ artifact, clock, group, isPinned, isLazy, isCandidate })
    giveLeaf(entry)
    const description = descriptions?.get(artifact)
    if (description !== undefined) entry.describe(description)
    return entry
  }

  function giveLeaf(entry: Entry): void {
    const { ref, artifact, use } = entry
    entry.leaf = new WakingLeaf({
      version: ref,
      clock,
      use,
      maxWaitingRows: artifact.manifest.batching.maxQueueRows,
      wake: () => request(entry, 'call').catch((error: HeadraceError) => Promise.reject(callersError(entry, error))),
      expectedLoadMs: () => entry.description?.loadMs,
      failed: (code, ms) => {
        // A call that was on its way to a version unloaded meanwhile must not bring its series back.
        if (entry.state === 'unloaded') return
        const { ended, statistics } = metricsOf(ref)
        ended(code).inc()
        statistics.failed(code, ms)
      },
    })
    const identity = { version: ref, digest: artifact.digest, kind: artifact.backend, manifest: artifact.manifest }
    entry.front = cache?.front(entry.leaf, identity, metrics.statistics.open(ref)) ?? entry.leaf
  }

  /** Loads what is at rest or has failed, once for all who ask. Rejects with why it did not load. */
  function request(entry: Entry, reason: LoadReason): Promise<void> {
    if (entry.loading !== undefined) return entry.loading
    const nowMs = clock.monotonicMs()
    if (isClosed || (reason === 'call' && entry.retryInMs(nowMs) > 0)) return Promise.reject(unready(entry))
    entry.isWaking = reason !== 'preload' || entry.hasLoaded
    change(entry, 'loading')
    const isPossible = entry.bytes <= budget.largestBytes(entry.group)
    const loading = (isPossible ? loads.add(entry, reason) : Promise.reject(tooLarge(entry))).then(
      () => becomeReady(entry),
      (error: HeadraceError) => {
        entry.loading = undefined
        waking.delete(entry)
        const isForNow = error.code === 'SERVING_POOL_FULL' || error.code === 'SERVING_CANCELLED'
        if (!isForNow) entry.loadFailed(clock.monotonicMs())
        // It was to be the latest as soon as it had loaded; now it is when somebody asks.
        if (isForNow && !models.hasProven(entry.ref.model)) entry.isCandidate = true
        if (isForNow)
          change(entry, 'resting', undefined, error.code === 'SERVING_POOL_FULL' ? error.message : undefined)
        else change(entry, 'failed', error)
        throw error
      },
    )
    waking.add(entry)
    entry.loading = loading
    entry.work = loading.catch(() => undefined)
    return loading
  }

  function becomeReady(entry: Entry): void {
    entry.loading = undefined
    waking.delete(entry)
    entry.isWaking = false
    entry.loadSucceeded()
    residents.add(entry)
    change(entry, 'ready')
    entry.leaf.up(entry.running!)
    watchIdle()
    dropSurplus()
  }

  /** Loads and warms up; the bytes are charged already. Rejects with why not, with nothing left open. */
  async function open(entry: Entry, reason: LoadReason): Promise<void> {
    if (entry.leaving !== undefined) await entry.leaving
    const { ref, artifact } = entry
    const { running, ...opened } = await openInTime(entry)
    const { signature, labels, isolation, providers } = opened.backend
    const known = entry.description?.isMeasured ? entry.description : undefined
    const memoryBytes = known?.memoryBytes ?? opened.backend.memoryBytes()
    const { loadMs } = opened
    entry.describe({ signature, labels, isolation, providers, memoryBytes, isMeasured: known !== undefined, loadMs })
    if (memoryBytes > budget.largestBytes(entry.group)) {
      await closeBackend(opened.backend, ref, opening)
      charge(entry, 0)
      throw tooLarge(entry)
    }
    charge(entry, memoryBytes)
    entry.backend = opened.backend
    entry.running = running
    entry.staysUntilMs = clock.monotonicMs() + Math.max(SHORTEST_STAY_MS, STAY_PER_LOAD * loadMs)
    metricsOf(ref).statistics.loadMs = loadMs
    poolMetrics.loads[reason].inc()
    poolMetrics.loadSeconds.observe(loadMs / 1000)
    descriptions?.set(artifact, entry.description!)
    void kept?.keep(artifact)
    if (known === undefined)
      measuring.add(artifact, memoryBytes, (bytes) => {
        entry.describe({ ...entry.description!, memoryBytes: bytes, isMeasured: true })
        descriptions?.set(artifact, entry.description!)
        if (entry.chargedBytes > 0) charge(entry, bytes)
        dropSurplus()
      })
  }

  /** A load that takes for ever is given up; what it takes counts until it ends after all. */
  async function openInTime(entry: Entry): Promise<Opened & { readonly running: Batcher }> {
    const { ref } = entry
    const work = openAnywhere(entry)
    const limit = new Promise<never>((_, reject) => {
      const timer = clock.after(loadTimeoutMs, () =>
        reject(ServingErrors.LOAD_FAILED({ ...ref, detail: `it took longer than ${loadTimeoutMs} ms` })),
      )
      const cancel = () => timer.cancel()
      work.then(cancel, cancel)
    })
    let hasEnded = false
    try {
      const opened = await Promise.race([work.finally(() => (hasEnded = true)), limit])
      return { ...opened, running: opened.batcher }
    } catch (error) {
      const { chargedBytes, group } = entry
      entry.chargedBytes = 0
      const free = () => {
        group.usedBytes -= chargedBytes
        poolMetrics.usedBytes.set(budget.usedBytes)
        loads.look()
      }
      if (hasEnded) free()
      else
        void work
          .then(
            ({ backend }) => closeBackend(backend, ref, opening),
            () => undefined,
          )
          .then(free)
      throw error
    }
  }

  /** From its own files, or, when those are not what they were, from the copy that was kept of them. */
  async function openAnywhere(entry: Entry): Promise<Opened> {
    const { ref, artifact } = entry
    const tell = (batcher: Batcher, reason: string | undefined) => {
      if (entry.running !== batcher) return
      if (entry.state === 'ready' && reason !== undefined) change(entry, 'unready', undefined, reason)
      else if (entry.state === 'unready' && reason === undefined) {
        noticeMove(entry)
        change(entry, 'ready')
      } else if (entry.state === 'unready') entry.reason = reason
    }
    try {
      return await openVersion(artifact, metricsOf(ref), opening, tell)
    } catch (error) {
      const copy = await kept?.find(artifact)
      if (copy === undefined) throw error
      logger.warn(
        { err: error, ...ref, file: copy.file },
        'the files of a version are not what they were; its copy is loaded',
      )
      return openVersion(copy, metricsOf(ref), opening, tell)
    }
  }

  /** A version whose runs hang may have moved to a process meanwhile. Loaded anew it starts where it was. */
  function noticeMove(entry: Entry): void {
    const { isolation } = entry.backend!
    if (entry.description!.isolation === isolation) return
    entry.describe({ ...entry.description!, isolation })
    charge(entry, Math.max(entry.chargedBytes, entry.backend!.memoryBytes()))
    dropSurplus()
  }

  /** Lets a version rest; whoever calls it from here on wakes it. Its bytes count as free at once. */
  function evict(entry: Entry, reason: EvictionReason): void {
    poolMetrics.evictions[reason].inc()
    const { backend, ref, group, chargedBytes } = entry
    const running = entry.leaf.down()
    residents.delete(entry)
    entry.backend = undefined
    entry.running = undefined
    charge(entry, 0)
    group.leavingBytes += chargedBytes
    const closing = (async () => {
      await running?.close()
      if (backend) await closeBackend(backend, ref, opening)
    })()
    const leaving: Promise<void> = closing.then(() => {
      group.leavingBytes -= chargedBytes
      leavings.delete(leaving)
      if (entry.leaving === leaving) entry.leaving = undefined
    })
    leavings.add(leaving)
    entry.leaving = leaving
    change(entry, 'resting', undefined, `it was unloaded (${reason}), and is loaded when somebody asks for it`)
  }

  function dropSurplus(): void {
    for (const entry of chooseSurplus(residents, budget, clock.monotonicMs())) evict(entry, 'surplus')
    if (isSurplusDue || isClosed || budget.excessBytes() <= 0) return
    isSurplusDue = true
    clock.after(SURPLUS_PAUSE_MS, () => {
      isSurplusDue = false
      dropSurplus()
    })
  }

  function watchIdle(): void {
    if (isIdleWatched || idleMs === 0 || isClosed) return
    isIdleWatched = true
    clock.after(Math.max(1_000, idleMs / 60), () => {
      isIdleWatched = false
      const nowMs = clock.monotonicMs()
      for (const entry of [...residents]) {
        const mayRest = entry.isLazy && !entry.isPinned && !entry.isBusy && nowMs >= entry.staysUntilMs
        if (mayRest && nowMs - entry.use.lastMs >= idleMs) evict(entry, 'idle')
      }
      loads.look()
      if (residents.size > 0) watchIdle()
    })
  }

  function takeDown(entry: Entry): Promise<void> {
    residents.delete(entry)
    return free(entry).then(() => {
      models.remove(entry)
      forgetMetrics(entry.ref)
      change(entry, 'unloaded')
      // What is unloaded because the server ends is served again by the next one.
      if (!isClosed) void kept?.forget(entry.artifact)
    })
  }

  /** Calls that were resolved a moment ago still come in and are answered: nobody is turned away by a version's replacement. */
  async function free(entry: Entry): Promise<void> {
    await entry.front.close()
    if (entry.leaving !== undefined) await entry.leaving
    const { backend } = entry
    entry.backend = undefined
    entry.running = undefined
    if (backend) await closeBackend(backend, entry.ref, opening)
    charge(entry, 0)
    loads.look()
  }

  function changedFiles({ ref, state, artifact: served }: Entry, artifact: VersionArtifact): VersionStatus {
    const error = ServingErrors.VERSION_CHANGED({ ...ref, served: served.digest, arrived: artifact.digest })
    logger.warn({ err: error, ...ref }, error.message)
    return { ref, state, reason: error.message, error }
  }

  async function load(artifact: VersionArtifact): Promise<VersionStatus> {
    const { ref } = artifact
    for (let entry = models.find(ref); entry !== undefined && !isClosed; entry = models.find(ref)) {
      if (entry.artifact.digest !== artifact.digest && entry.state !== 'failed') return changedFiles(entry, artifact)
      if (entry.state === 'ready' || entry.state === 'unready') return entry.status()
      if (entry.state === 'failed') models.remove(entry)
      else if (entry.state === 'resting') {
        await request(entry, 'asked').catch(() => undefined)
        return entry.status()
      } else {
        const isLoading = entry.state === 'loading'
        await entry.work
        if (isLoading) return entry.status()
      }
    }
    if (isClosed) return { ref, state: 'failed', reason: 'the server is shutting down', error: undefined }
    const entry = createEntry(artifact, false, false)
    models.place(entry)
    await request(entry, 'preload').catch(() => undefined)
    return entry.status()
  }

  function register(artifact: VersionArtifact): VersionStatus {
    const known = models.find(artifact.ref)
    if (known !== undefined && known.state !== 'failed')
      return known.artifact.digest === artifact.digest ? known.status() : changedFiles(known, artifact)
    if (known !== undefined) models.remove(known)
    const { model, version } = artifact.ref
    const latest = models.latest(model)
    // Nobody asks for a newer version before it is the latest, and it is not the latest before it has loaded.
    const isNews = models.hasProven(model) && latest !== undefined && version > latest.ref.version
    const entry = createEntry(artifact, true, !isNews)
    models.place(entry)
    if (isNews) request(entry, 'new').catch(() => undefined)
    else change(entry, 'resting')
    return entry.status()
  }

  function wake(
    { model, version }: { readonly model: ModelName; readonly version: number | 'latest' },
    limitMs?: number,
  ): Promise<void> | undefined {
    if (!models.hasSleepers) return undefined
    if (version === 'latest') return models.latest(model) === undefined ? wakeNewest(model, limitMs) : undefined
    const entry = models.find({ model, version })
    return entry?.isAsleep(clock.monotonicMs()) ? awake(entry, limitMs) : undefined
  }

  /** When the newest cannot be loaded, the one before it is the latest. */
  function wakeNewest(model: ModelName, limitMs: number | undefined): Promise<void> | undefined {
    const newest = models.newest(model)
    if (!newest?.isAsleep(clock.monotonicMs())) return undefined
    return awake(newest, limitMs).catch((error: unknown) => {
      const next = models.newest(model)
      if (next === undefined || next === newest || next.state === 'failed') throw error
      return wakeNewest(model, limitMs)
    })
  }

  async function awake(entry: Entry, limitMs: number | undefined): Promise<void> {
    const { model, version } = entry.ref
    entry.use.called(clock.monotonicMs())
    entry.wakers++
    let stop = () => {}
    const limit = new Promise<never>((_, reject) => {
      if (limitMs === undefined || limitMs === Number.POSITIVE_INFINITY) return
      const late = { model, version, waitedMs: limitMs, phase: 'loading' as const }
      const timer = clock.after(limitMs, () => reject(ServingErrors.DEADLINE_EXCEEDED(late)))
      stop = () => timer.cancel()
    })
    try {
      await Promise.race([request(entry, 'call'), limit])
    } catch (error) {
      throw callersError(entry, error as HeadraceError)
    } finally {
      stop()
      entry.wakers--
    }
  }

  async function stage(artifact: VersionArtifact): Promise<StagedVersion> {
    const { ref } = artifact
    const entry = createEntry(artifact, models.find(ref)?.isLazy ?? false, true)
    if (entry.bytes > budget.largestBytes(entry.group)) throw tooLarge(entry)
    entry.state = 'loading'
    try {
      await loads.add(entry, 'asked')
    } catch (error) {
      if (models.find(ref) === undefined) forgetMetrics(ref)
      throw error
    }
    return {
      served: entry.served!,
      async commit() {
        for (let old = models.find(ref); old?.state === 'unloading'; old = models.find(ref)) await old.work
        const old = models.find(ref)
        models.place(entry)
        becomeReady(entry)
        if (old !== undefined) await retire(old, entry)
      },
      async discard() {
        await free(entry)
        if (models.find(ref) === undefined) forgetMetrics(ref)
      },
    }
  }

  /** Lets the calls of a version that another took the place of finish, and frees it. */
  async function retire(entry: Entry, successor: Entry): Promise<void> {
    loads.cancel(entry)
    entry.leaf.succeededBy(successor.leaf)
    await entry.work
    // What becomes of it is no news of the version any more.
    residents.delete(entry)
    entry.state = 'unloaded'
    await free(entry)
  }

  async function restart(ref: VersionRef, error: HeadraceError): Promise<void> {
    const entry = models.find(ref)
    if (entry?.state !== 'ready' && entry?.state !== 'unready') return
    const { front } = entry
    residents.delete(entry)
    change(entry, 'loading', error, `it is being loaded again: ${error.message}`)
    // What takes its place keeps answers, and a circuit, of its own.
    const before = { backend: entry.backend, bytes: entry.chargedBytes }
    entry.backend = undefined
    entry.running = undefined
    giveLeaf(entry)
    void front.close()
    entry.served = entry.served && { ...entry.served, leaf: entry.front }
    entry.work = (async () => {
      try {
        if (before.backend) await closeBackend(before.backend, ref, opening)
        await open(entry, 'restart')
        becomeReady(entry)
      } catch (cause) {
        entry.loadFailed(clock.monotonicMs())
        change(entry, 'failed', cause as HeadraceError)
      }
    })()
    await entry.work
  }

  async function unload(ref: VersionRef): Promise<void> {
    for (let entry = models.find(ref); entry !== undefined; entry = models.find(ref)) {
      loads.cancel(entry)
      if (entry.state !== 'loading' && entry.state !== 'unloading') {
        change(entry, 'unloading')
        entry.work = takeDown(entry)
      }
      await entry.work
      if (entry.state === 'unloaded') return
    }
  }

  function get(ref: VersionRef): ServedVersion | undefined {
    const entry = models.find(ref)
    return entry?.isCallable ? entry.served : undefined
  }

  function tooLarge(entry: Entry): HeadraceError {
    return ServingErrors.MODEL_TOO_LARGE({ ...entry.ref, ...sizes(entry) })
  }

  /** Why a request for something known gets no version. */
  function unready(entry: Entry): HeadraceError {
    const { ref, state, reason, error } = entry
    if (error?.code === 'SERVING_MODEL_TOO_LARGE') return error
    const retryAfterMs = Math.ceil(entry.retryInMs(clock.monotonicMs())) || 1000
    return ServingErrors.MODEL_UNREADY({ ...ref, reason: reason ?? `it is ${state}`, retryAfterMs })
  }

  /** What callers are told of a load that failed. */
  function callersError(entry: Entry, error: HeadraceError): HeadraceError {
    return TOLD_AS_THEY_ARE.has(error.code) ? error : unready(entry)
  }

  return {
    load,
    stage,
    register,
    wake,
    asleep(model, version) {
      const entry = version === 'latest' ? models.newest(model) : models.find({ model, version })
      return entry?.isAtRest && entry.served === undefined ? entry.ref : undefined
    },
    unload,
    restart,
    get,
    memory: () => ({
      budgetBytes,
      usedBytes: budget.usedBytes,
      versions: models.all().map(({ ref, artifact, chargedBytes, bytes, description, isPinned }) => ({
        ref,
        digest: artifact.digest,
        usedBytes: chargedBytes,
        sizeBytes: bytes,
        isMeasured: description?.isMeasured ?? false,
        isPinned,
      })),
    }),
    get isServing() {
      return models.isServing
    },
    latest: (model) => models.latest(model),
    resolve(model, version) {
      const served = version === 'latest' ? models.latest(model) : get({ model, version })
      if (served !== undefined) return served
      const known = models.of(model)
      if (known.length === 0) throw ServingErrors.MODEL_NOT_FOUND({ model, known: models.names })
      const entry = version === 'latest' ? (models.newest(model) ?? known.at(-1)) : models.find({ model, version })
      if (entry !== undefined) throw unready(entry)
      throw ServingErrors.VERSION_NOT_FOUND({
        model,
        version: Number(version),
        known: known.map(({ ref }) => ref.version),
      })
    },
    lastSeen(model, version) {
      // What is only remembered was never there.
      const seen = models.of(model).filter((entry) => entry.hasLoaded || entry.isCallable)
      const served = seen.flatMap((entry) => entry.served ?? [])
      return version === 'latest' ? served.at(-1) : served.find(({ ref }) => ref.version === version)
    },
    status: (ref) => models.find(ref)?.status(),
    statistics: (ref) => metrics.statistics.get(ref),
    allStatistics: () => metrics.statistics.list(),
    statuses: () => models.all().map((entry) => entry.status()),
    watch(watcher) {
      watchers.add(watcher)
      return () => void watchers.delete(watcher)
    },
    dropCancelled() {
      for (const entry of residents) entry.front.dropCancelled()
      for (const entry of waking) entry.front.dropCancelled()
    },
    async close() {
      isClosed = true
      stopWatching()
      measuring.stop()
      await Promise.all(models.all().map((entry) => (isUntouched(entry) ? models.remove(entry) : unload(entry.ref))))
    },
  }
}

/** Nobody has ever asked for it: its end is no news. */
function isUntouched({ state, hasLoaded }: Entry): boolean {
  return state === 'resting' && !hasLoaded
}

const TOLD_AS_THEY_ARE: ReadonlySet<string> = new Set([
  'SERVING_POOL_FULL',
  'SERVING_MODEL_TOO_LARGE',
  'SERVING_DEADLINE_EXCEEDED',
  'SERVING_MODEL_UNREADY',
])

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
