// The composition root: builds every domain from the configuration and wires those that may not know each other.
import path from 'node:path'
import type { KeyedAccess } from '../access/index.js'
import {
  type DecisionId,
  type Digest,
  type HeadraceError,
  type ModelName,
  type Platform,
  toHeadraceError,
  type VersionRef,
  versionKey,
} from '../core/index.js'
import type { Actor, Change, Decision, Decisions, Evidence } from '../decisions/index.js'
import type { FeatureReader } from '../features/index.js'
import { createPath, type Path, type Versions } from '../path/index.js'
import {
  combineSources,
  createFileSource,
  createFolderSource,
  createKeptArtifacts,
  DEFAULT_MODELS_FOLDER,
  type ModelSource,
} from '../registry/index.js'
import {
  type AnswerCache,
  addTritonMetrics,
  type BackendFactory,
  createMemoryGauge,
  createOnnxBackends,
  createPipelineBackends,
  createPool,
  createProcessBackends,
  createRemoteBackends,
  createScriptBackends,
  defaultThreads,
  LoadRetries,
  movingHung,
  type Pool,
  poolBudgetBytes,
  type ServedVersion,
} from '../serving/index.js'
import type { Blobs } from '../store/index.js'
import { describeRows, rowsToTensors, type VersionArtifact } from '../tensor/index.js'
import { openAppAccess } from './access/app-access.js'
import { createAnswerCache, followSwitches } from './answer-cache.js'
import { createBreakerJournal } from './breaker-journal.js'
import { faultyBackends } from './chaos/backends.js'
import { type Chaos, checkChaos, createChaos, createFaults } from './chaos/chaos.js'
import { skewable } from './chaos/clock.js'
import { openRedisProxy } from './chaos/redis-proxy.js'
import { checkConstants } from './check-constants.js'
import { createEndpoints, type Endpoints } from './endpoints.js'
import type { AppLog, Engines, Peers, RegistryState } from './engines.js'
import type { Features } from './features/features.js'
import type { LoadedProject } from './load-project.js'
import { type ModelMemory, openModelMemory } from './model-memory.js'
import { reportPinned } from './nodes/report-pinned.js'
import { reportVersions } from './nodes/report-versions.js'
import { openEngines } from './open-engines.js'
import { namedKeys, openRegisteredVersions } from './registry/registered-versions.js'
import { serveReleases } from './release/serve-releases.js'
import { processStatistics } from './repository/process-statistics.js'
import { Repository } from './repository/repository.js'
import type { Services } from './services.js'
import { Aliases, createVersions } from './versions.js'

/** Everything that runs, built and wired. The views and operations beside this file are functions of it. */
export interface StartOptions {
  /** Whether views are filled and streams read from now on; default true. For one command they need not be. */
  readonly runsFeatures?: boolean
}

export interface App {
  readonly project: LoadedProject
  readonly platform: Platform
  readonly path: Path
  readonly pool: Pool
  readonly cache: AnswerCache
  readonly endpoints: Endpoints
  readonly versions: Versions
  readonly aliases: Aliases
  /** For reading; changes go through `decide` and `undo`, so that they take effect before they resolve. */
  readonly decisions: Omit<Decisions, 'apply' | 'applyAll' | 'undo'>
  readonly log: AppLog
  readonly source: ModelSource
  readonly repository: Repository
  /** Why a version that is there was never given to the pool: its files or its model.json are at fault. */
  readonly refused: ReadonlyMap<string, HeadraceError>
  /** Operations on metadata; in a worker they reach the primary's. */
  readonly services: Services
  /** What the metadata store says of versions, aliases and releases, as this process applies it. */
  registryState(): RegistryState
  /** Who sends a request, and what it may do. */
  readonly access: KeyedAccess
  /** Artifacts. */
  readonly blobs: Blobs
  readonly nodeId: string
  /** Adds a part to what this node reports of itself. */
  readonly report: Engines['report']
  /** Undefined when the project defines none. */
  readonly features: Features | undefined
  /** Undefined when this process is the whole server. */
  readonly peers: Peers | undefined
  /** Undefined unless the server was started to take faults. */
  readonly chaos: Chaos | undefined
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  undo(id: DecisionId, by: Actor): Promise<Decision>
  /** True once every version found at start was either warmed up or refused, and not all of them were refused; in every process. */
  isReady(): boolean
  /** The metrics of the whole server in Prometheus' text format. */
  exposeMetrics(): Promise<string>
  /** Loads what the source has and follows it. Resolves when every version found was either warmed up or refused. */
  start(options?: StartOptions): Promise<void>
  /** Finishes what is in flight (for at most `server.drainMs`), flushes the log and closes everything. */
  close(): Promise<void>
}

export interface AppOptions {
  /** `start` will follow: the threads that load models are started meanwhile. Default true. */
  readonly loads?: boolean
  /** Where the registry, decisions and log are; closed with the app. Default: opens those of the data folder, exclusively. */
  readonly engines?: Engines
  /** Reads features in place of the project's own. */
  readonly features?: FeatureReader
}

/** Builds what serves the project. Nothing is loaded before `start`. */
export async function createApp(project: LoadedProject, given: Platform, options: AppOptions = {}): Promise<App> {
  const { config } = project
  checkChaos(config)
  const faults = options.engines ? options.engines.faults : createFaults(config, given)
  const platform = faults ? skewable(given, faults) : given
  const { logger } = platform
  // A thread that died took its sessions along: those versions load again, once there is a pool.
  let onFailure: Pool['restart'] = async () => {}
  const { providers, graphCacheMaxBytes: maxBytes } = config.serving.onnx
  const onnxOptions = {
    threads: config.serving.threads ?? defaultThreads(config.server.processes),
    providers,
    graphCache: maxBytes > 0 ? { folder: path.join(project.dataDir, 'onnx-cache'), maxBytes } : undefined,
  }
  const onnx = createOnnxBackends({ ...onnxOptions, onFailure: (ref, error) => void onFailure(ref, error) })
  const scripts = createScriptBackends()
  const remotes = createRemoteBackends({ platform, environment: process.env })
  const pipelines = createPipelineBackends(platform)
  const retries = new LoadRetries(platform.clock, platform.random)
  const processes = createProcessBackends({ onnx: onnxOptions })
  if (options.loads ?? true) void onnx.prepare({ platform })
  const aliases = new Aliases()
  const endpoints = createEndpoints(config.endpoints, aliases)
  const closers: (() => Promise<void>)[] = [() => onnx.close(), () => processes.close(), () => remotes.close()]
  const closeAll = async () => {
    for (const close of closers.reverse()) await close()
  }
  const breakable = (load: BackendFactory, mayHang = true) =>
    faults ? faultyBackends(load, faults, platform, mayHang) : load
  /** In a process where model.json says so. */
  const isolable = (load: BackendFactory): BackendFactory => {
    const isolated = breakable(processes.load)
    return (artifact, given) => (artifact.manifest.isolation === 'process' ? isolated : load)(artifact, given)
  }
  try {
    const engines = options.engines ?? (await openEngines(project, platform, faults))
    closers.unshift(() => engines.close())
    const { redisUrl } = config.store
    const proxy = faults && redisUrl ? await openRedisProxy(redisUrl, faults, platform.clock) : undefined
    if (proxy) closers.push(() => proxy.close())
    const cache = await createAnswerCache(config, proxy?.url ?? redisUrl, engines, platform)
    closers.push(() => cache.close())
    const memory = await openModelMemory(project.dataDir, platform)
    closers.push(() => memory.close())
    const callers = await openAppAccess(project, engines, platform)
    closers.push(() => callers.close())
    return build(engines, cache, memory, callers.access)
  } catch (error) {
    await closeAll()
    throw error
  }

  function build(engines: Engines, cache: AnswerCache, memory: ModelMemory, access: KeyedAccess): App {
    const { log, decisions, peers, features } = engines
    const { budgetMb, reservations, idleMs, pinned, copiesMb, load: defaultLoad } = config.serving.pool
    const { processes: serverProcesses } = config.server
    const gauge = createMemoryGauge({ platform, onnx: onnxOptions })
    closers.push(() => gauge.close())
    const registered = openRegisteredVersions(project, engines, platform)
    const kept = registered.withoutCopies(
      createKeptArtifacts({
        folder: path.join(project.dataDir, 'artifacts'),
        platform,
        maxBytes: copiesMb * 2 ** 20,
      }),
    )
    const pool = createPool({
      platform,
      cache,
      budgetBytes: poolBudgetBytes(budgetMb, serverProcesses),
      reservations: Object.entries(reservations).map(([name, { models, mb }]) => ({
        name,
        models,
        bytes: (mb * 2 ** 20) / serverProcesses,
      })),
      idleMs,
      pinned,
      measure: (artifact) => gauge.measure(artifact),
      descriptions: memory.descriptions,
      kept,
      residentBytes: () => process.memoryUsage.rss(),
      factories: new Map<string, BackendFactory>([
        // A fault that hangs runs must not follow a version that moves because of it.
        [
          'onnx',
          registered.fetching(isolable(movingHung(breakable(onnx.load), breakable(processes.load, false))), (load) =>
            retries.of(load),
          ),
        ],
        ['script', isolable(breakable(scripts.load))],
        ['remote', isolable(retries.of(breakable(remotes.load)))],
        ['pipeline', isolable(retries.of(breakable(pipelines.load)))],
      ]),
      warmupInputs: ({ manifest }, signature) =>
        manifest.warmup.map(({ inputs }) =>
          rowsToTensors([inputs], describeRows(signature, manifest, manifest.labels)),
        ),
    })
    closers.push(() => pool.close())
    reportVersions(engines, pool)
    reportPinned(engines, endpoints)
    pipelines.follow(pool)
    closers.push(stopper(retries.follow(pool)))
    onFailure = pool.restart
    const chaos =
      faults &&
      createChaos({
        clock: platform.clock,
        config,
        faults,
        engines,
        pool,
        kill: (model, version) =>
          processes.kill(model, version) || onnx.kill(model, version) || scripts.kill(model, version),
        hasRedis: config.store.redisUrl !== undefined,
      })
    if (config.server.tritonMetrics) addTritonMetrics(platform.metrics, pool.allStatistics)
    const versions = createVersions(pool, aliases)
    const releases = serveReleases(engines, pool, platform)
    closers.push(stopper(releases.stop))
    const requests = createPath({
      platform,
      versions,
      leases: releases.leases,
      features: options.features ?? features?.reader,
      answers: cache,
      log,
      maxInFlight: config.server.maxInFlight,
      dropCancelled: pool.dropCancelled,
      onRefused: (ref, code, ms) => pool.statistics(ref)?.failed(code, ms),
      onBreaker: createBreakerJournal(platform, engines.decide),
    })
    const own =
      project.models.kind === 'file'
        ? createFileSource({ file: project.models.file, platform })
        : createFolderSource({
            ...config.models,
            folder: project.models.folder,
            platform,
            memory: memory.files,
            // A project of features alone serves those.
            mayBeMissing:
              project.features !== undefined || engines.registry().registered.size > 0 ? true : neverHadModels,
          })
    const source = combineSources(own, registered.source, platform)
    const found = new Map<string, VersionRef>()
    const repository = new Repository({
      project,
      platform,
      engines,
      pool,
      found,
      obtain,
      load,
      isCached(name) {
        const endpoint = endpoints.list().find((candidate) => candidate.name === name)
        return endpoint?.cache !== undefined && cache.isOn(endpoint.name)
      },
    })
    const refused = new Map<string, HeadraceError>()
    let isStarted = false
    let named: ReadonlySet<string> | undefined
    let applied: RegistryState | undefined
    /** Versions that come and go with what is asked for: too often for the log. */
    const restful = new Set<string>()
    const checked = new WeakSet<ServedVersion>()

    /** Versions are pushed to it: nobody named a models folder, and none was ever served from one, which might be a disk that is away. */
    async function neverHadModels(): Promise<boolean> {
      if (config.models.folder !== DEFAULT_MODELS_FOLDER) return false
      const seen = await decisions.list({ kind: 'version.seen', limit: 1 }).catch(() => [])
      return seen.length === 0
    }

    function refresh(): void {
      named = undefined
      const registry = engines.registry()
      applied = registry
      aliases.replace(registry.aliases)
      endpoints.replace(
        new Set([...found.values()].map((ref) => ref.model)),
        registry.pointers,
        registry.releases,
        registry.targets,
      )
      releases.changed()
      followSwitches(cache, engines)
    }

    function isWarm(): boolean {
      // What was unloaded on purpose is not waited for.
      const hasModel = ![...found.values()].some((ref) => repository.wants(ref)) || pool.isServing
      return isStarted && !requests.isDraining && hasModel
    }

    async function obtain(ref: VersionRef): Promise<VersionArtifact> {
      const artifact = await source.get(ref)
      if (engines.registry().digests.get(versionKey(ref)) !== artifact.digest)
        await engines.sawVersion(artifact, path.relative(project.root, artifact.file))
      return artifact
    }

    /** Also of versions whose files are not what they were: the copy is then all that is left of them. */
    function digestsInUse(): Set<Digest> {
      const digests = new Set(pool.memory().versions.map(({ digest }) => digest))
      for (const key of refused.keys()) {
        const digest = engines.registry().digests.get(key)
        if (digest !== undefined) digests.add(digest)
      }
      return digests
    }

    /** The newest of each model, and what an alias or a route names. Other registered versions are loaded when somebody asks. */
    function namedVersions(): ReadonlySet<string> {
      named ??= new Set(namedKeys([...found.values()], aliases, endpoints.list()))
      return named
    }

    async function load(ref: VersionRef): Promise<void> {
      refused.delete(versionKey(ref))
      if (!repository.wants(ref)) return
      try {
        const artifact = repository.prepare(await obtain(ref))
        const isOld = registered.source.has(ref) && !namedVersions().has(versionKey(ref))
        if ((artifact.manifest.load ?? (isOld ? 'lazy' : defaultLoad)) === 'lazy') pool.register(artifact)
        else await pool.load(artifact)
      } catch (error) {
        // What it needs is closed under its hands: no fault of the version.
        if (requests.isDraining) return
        const failure = toHeadraceError(error)
        refused.set(versionKey(ref), failure)
        logger.error({ model: ref.model, version: ref.version, err: failure }, failure.message)
      }
    }

    async function add(ref: VersionRef): Promise<void> {
      found.set(versionKey(ref), ref)
      refresh()
      await load(ref)
      await repository.settle(ref.model)
    }

    async function remove(ref: VersionRef): Promise<void> {
      found.delete(versionKey(ref))
      refused.delete(versionKey(ref))
      refresh()
      await pool.unload(ref)
      await repository.settle(ref.model)
    }

    refresh()
    closers.push(
      stopper(
        engines.follow(({ change }) => {
          // What a number stands for changes no endpoint, and a thousand of them may be seen at once.
          if (change.kind === 'version.seen') return
          // Decisions that were made together come one by one, with the state after them all.
          if (engines.registry() !== applied) refresh()
          // The first caller of what an alias names from now on is not to wait for it.
          const { model, version } = change.detail
          if (change.kind === 'alias.set' && typeof version === 'number' && defaultLoad === 'preload')
            void pool.wake({ model: model as ModelName, version })?.catch(() => undefined)
        }),
      ),
    )
    closers.push(stopper(engines.follow((decision) => repository.follow(decision))))
    peers?.shareStatistics(() => processStatistics({ pool, platform }))
    pool.watch(({ ref, state, reason }) => {
      const fields = { model: ref.model, version: ref.version, state, reason }
      if (state === 'failed' || state === 'unready') logger.error(fields, 'model version is not serving')
      else if (restful.has(versionKey(ref)) || state === 'resting') logger.debug(fields, 'model version changed state')
      else logger.info(fields, 'model version changed state')
      if (state === 'resting') restful.add(versionKey(ref))
      else if (state === 'unloaded') restful.delete(versionKey(ref))
      const served = state === 'ready' ? pool.get(ref) : undefined
      if (served !== undefined && !checked.has(served)) {
        checked.add(served)
        checkConstants(endpoints.list(), ref.model, versions, logger)
      }
      peers?.tellReady(isWarm())
    })

    return {
      project,
      platform,
      path: requests,
      pool,
      cache,
      endpoints,
      versions,
      aliases,
      decisions,
      log,
      services: engines.services,
      registryState: engines.registry,
      access,
      blobs: engines.blobs,
      nodeId: engines.nodeId,
      report: engines.report,
      features,
      source,
      repository,
      refused,
      chaos,
      decide: engines.decide,
      undo: engines.undo,
      peers,
      isReady: () => isWarm() && (peers?.areReady() ?? true),
      exposeMetrics: () => (peers ? peers.exposeMetrics() : platform.metrics.expose()),
      async start({ runsFeatures = true }: StartOptions = {}) {
        await source.settle()
        for (const ref of await source.list()) found.set(versionKey(ref), ref)
        refresh()
        await Promise.all([...[...found.values()].map(load), runsFeatures ? features?.start() : undefined])
        isStarted = true
        releases.start()
        void kept.prune(digestsInUse())
        void registered.prune()
        if (found.size === 0 && project.models.kind === 'folder')
          logger.warn(
            { folder: project.models.folder },
            'nothing is served yet: push a version ("headrace models push", or MLflow with its tracking URI here at /mlflow), or copy one into the models folder',
          )
        if (restful.size > 0)
          logger.info({ versions: restful.size }, 'model versions are loaded when somebody asks for them')
        peers?.tellReady(isWarm())
        closers.push(
          stopper(
            source.watch((event) => {
              if (event.kind === 'added') void add(event.ref)
              else if (event.kind === 'removed') void remove(event.ref)
              else logger.error({ model: event.ref.model, version: event.ref.version }, event.reason)
            }),
          ),
        )
      },
      async close() {
        await drain(requests, config.server.drainMs, platform)
        await closeAll()
      },
    }
  }
}

function stopper(stop: () => void): () => Promise<void> {
  return async () => stop()
}

function drain(requests: Path, limitMs: number, { clock, logger }: Platform): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, () => {
      logger.warn({ inFlight: requests.inFlight }, 'requests in flight did not end in time; closing without them')
      resolve()
    })
    void requests.drain().then(() => {
      timer.cancel()
      resolve()
    })
  })
}
