// The engines as a worker has them: the primary's, over IPC. What requests read (aliases, readiness) is a copy kept up to date.
import path from 'node:path'
import type { Digest, Platform } from '../../core/index.js'
import type { Decision } from '../../decisions/index.js'
import { projectFingerprint } from '../../features/index.js'
import { createLogRelay } from '../../log/index.js'
import type { ServableVersion } from '../../registry/index.js'
import type { SharedTier } from '../../serving/index.js'
import { createFaults, followFaults } from '../chaos/chaos.js'
import { logPolicyOf } from '../endpoints.js'
import type { Engines, RegistryState } from '../engines.js'
import { openRemoteFeatures } from '../features/remote-features.js'
import { askedConfirmation } from '../nodes/confirmation.js'
import { openBlobs } from '../nodes/open-blobs.js'
import { Reports, tellReports } from '../nodes/reports.js'
import type { ModelStatistics } from '../repository/types.js'
import { remoteServices } from '../services.js'
import type { Channel } from './channel.js'
import type { PrimaryMethods, Welcome, WorkerMethods } from './protocol.js'

/** `local` is what the worker offers to the primary; the engines add their part to it. */
export async function openWorkerEngines(
  primary: Channel<PrimaryMethods>,
  local: Partial<WorkerMethods>,
  welcome: Welcome,
  platform: Platform,
): Promise<Engines> {
  const { config, dataDir } = welcome.project
  const digests = new Map<string, Digest>()
  const registered = new Map<string, ServableVersion>()
  let registry: RegistryState = {
    digests,
    registered,
    registeredRevision: 0,
    aliases: [],
    pointers: new Map(),
    releases: [],
    targets: [],
    cacheSwitches: new Map(),
    repository: new Map(),
    keys: [],
  }
  let areReady = false
  let ownStatistics: () => ModelStatistics[] = () => []
  const faults = createFaults(config, platform)
  const followers = new Set<(decision: Decision) => void | Promise<void>>()
  if (faults) followers.add((decision) => followFaults(faults, decision))
  const watchers = new Set<(decision: Decision) => void>()
  const log = createLogRelay({
    folder: path.join(dataDir, 'log'),
    platform,
    policy: logPolicyOf(config.endpoints),
    bufferBytes: config.log.bufferBytes,
    maxPayloadBytes: config.log.maxPayloadBytes,
    owner: {
      take: (batch) => primary.call('takeLog', batch),
      whenDurable: (position) => primary.call('whenDurable', position),
      flush: () => primary.call('flushLog'),
    },
  })

  function tell(watcher: (decision: Decision) => void, decision: Decision): void {
    try {
      watcher(decision)
    } catch (error) {
      // The decision is made; a watcher that fails must not make it look otherwise.
      platform.logger.error({ err: error, decision: decision.id }, 'a watcher of decisions failed')
    }
  }

  const { features: definitions } = welcome.project
  // A worker that is started again reads the files as they are now. To refuse it would take the server down, worker by worker.
  if ((definitions && projectFingerprint(definitions)) !== welcome.featuresFingerprint)
    platform.logger.error(
      { views: [...(definitions?.views.keys() ?? [])] },
      'the definitions of features were edited since the server was started: this worker answers by the new ones, others by the old. Restart the server',
    )
  const features =
    definitions &&
    (await openRemoteFeatures(welcome.project, definitions, platform, {
      read: (request) => primary.call('readFeatures', request),
      ask: (operation, args) => primary.call('askFeatures', operation, args),
    }))

  const services = remoteServices((service, operation, args) => primary.call('askService', service, operation, args))
  const methods: Partial<WorkerMethods> = {
    joined(state) {
      if (state.featureTables) features?.follow(state.featureTables)
      for (const [version, digest] of state.registry.digests) digests.set(version, digest)
      for (const [key, version] of state.registry.registered) registered.set(key, version)
      registry = { ...state.registry, digests, registered }
      areReady = state.areReady
      for (const fault of state.faults) faults?.resume(fault)
      log.committed(state.durableThrough)
    },
    async changed(decision, state, servable) {
      const { kind, subject, detail } = decision.change
      if (kind === 'version.seen' || kind === 'version.register') digests.set(subject, detail['digest'] as Digest)
      if (servable === null) registered.delete(subject)
      else if (servable !== undefined) registered.set(subject, servable)
      // Its own count: versions that came together for the primary come one by one here.
      const registeredRevision = registry.registeredRevision + (servable === undefined ? 0 : 1)
      registry = { ...state, digests, registered, registeredRevision }
      await Promise.all([...followers].map((change) => change(decision)))
      for (const watcher of watchers) tell(watcher, decision)
    },
    committed: (durableThrough) => log.committed(durableThrough),
    featureTables: (state) => features?.follow(state),
    handOverLog: () => log.handOver(),
    areReady(isReady) {
      areReady = isReady
    },
    metrics: () => platform.metrics.snapshot(),
    statistics: () => ownStatistics(),
  }
  Object.assign(local, methods)
  await primary.call('join')
  const reports = new Reports()
  const reporting = tellReports(reports, (parts) => primary.tell('reportNode', parts), platform)
  const confirmation = askedConfirmation(() => primary.call('storeAgeMs'), platform)
  const blobs = await openBlobs(welcome.project, platform, true)

  return {
    nodeId: welcome.nodeId,
    services,
    blobs,
    storeConfirmedMs: confirmation.ms,
    report: (part, read) => reports.offer(part, read),
    log,
    decisions: {
      get: (id) => primary.call('getDecision', id),
      list: (query) => primary.call('listDecisions', query),
      explain: (id) => primary.call('explainDecision', id),
      verify: () => primary.call('verifyDecisions'),
      watch(change) {
        const watcher = (decision: Decision) => change(decision)
        watchers.add(watcher)
        return () => watchers.delete(watcher)
      },
    },
    registry: () => registry,
    decide: (change, evidence, by) => primary.call('decide', change, evidence, by),
    undo: (id, by) => primary.call('undo', id, by),
    sawVersion: ({ ref, digest, sizeBytes }, file) => primary.call('sawVersion', { ref, digest, sizeBytes }, file),
    follow(change) {
      followers.add(change)
      return () => followers.delete(change)
    },
    faults,
    features,
    tier: sharedCache(primary),
    peers: {
      pid: welcome.pid,
      processes: config.server.processes,
      number: welcome.number,
      areReady: () => areReady,
      tellReady: (isReady) => primary.tell('tellReady', isReady),
      exposeMetrics: () => primary.call('exposeMetrics'),
      shareStatistics(own) {
        ownStatistics = own
      },
      gatherStatistics: () => primary.call('gatherStatistics'),
    },
    async close() {
      confirmation.stop()
      reporting.stop()
      await features?.close()
      await log.close()
      await primary.call('leaving', await platform.metrics.snapshot(), ownStatistics())
    },
  }
}

/** The answers that the primary keeps for all workers. Without it a worker computes by itself. */
function sharedCache(primary: Channel<PrimaryMethods>): SharedTier {
  return {
    async lookup(key, waitMs) {
      const reply = await primary.call('askCache', key, waitMs).catch(() => undefined)
      if (reply?.kind === 'hit') return reply
      const lease = reply?.lease ?? 0
      return {
        kind: 'lead',
        publish: (bytes, ttlMs) => primary.tell('publishToCache', lease, bytes, ttlMs),
      }
    },
    store: (key, bytes, ttlMs) => primary.tell('storeInCache', key, bytes, ttlMs),
    close: async () => undefined,
  }
}
