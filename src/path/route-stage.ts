// Route: walks the endpoint's tree and calls its leaves. One leaf is a direct call, and a tree that only selects one (splits and
// matches) is a selection and a direct call; everything else is driven as a state machine.
import { type Clock, type EndpointName, type HeadraceError, type Platform, toHeadraceError } from '../core/index.js'
import type { PredictionLog } from '../log/index.js'
import type { CallRole, RouteChoice, VersionLeaf } from '../route/index.js'
import type { LeafResult, PredictionCache, ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import { addCost } from './cost.js'
import { Drive, type DriveServices } from './drive.js'
import type { Versions } from './endpoint.js'
import { EndpointHealth } from './endpoint-health.js'
import { featureFlags } from './features-stage.js'
import { CACHED, flagList, LEASE_EXPIRED, PINNED } from './flags.js'
import { type BreakerChange, Health } from './health.js'
import { LEASE_LOST, LeasedInput } from './leased-input.js'
import { hasUnleased, type Leases, partitioned, whileLeased } from './leases.js'
import type { Prediction } from './prediction.js'
import type { RouteMetrics } from './route-metrics.js'
import type { Stage } from './stage.js'

export interface RouteStageOptions {
  readonly platform: Platform
  readonly versions: Versions
  readonly log: PredictionLog
  readonly metrics: RouteMetrics
  readonly answers?: PredictionCache | undefined
  /** Without it no lease is held. */
  readonly leases?: Leases | undefined
  /** The tensors of a prediction with `given` for a version; undefined: there are none such. */
  readonly tensorsFor?: ((prediction: Prediction, served: ServedVersion) => TensorMap | Promise<TensorMap>) | undefined
  /** Drops queued calls whose input says `cancelled`. */
  readonly dropCancelled?: (() => void) | undefined
  readonly onBreaker?: ((change: BreakerChange) => void) | undefined
}

export interface RouteStage extends Stage {
  /** Resolves when the work that replies left behind has ended, or after `limitMs`. */
  settled(limitMs: number): Promise<void>
}

/** Calls dropped within so long are taken out of the queues together. */
const DROP_AFTER_MS = 5

export function routeStage(options: RouteStageOptions): RouteStage {
  const { platform, versions, log, metrics } = options
  const { clock, random } = platform
  const { leases } = options
  const health = new Health({ platform, onBreaker: options.onBreaker })
  const services: DriveServices = {
    clock,
    ids: platform.ids,
    logger: platform.logger,
    log,
    versions,
    health,
    metrics,
    answers: options.answers,
    leases: options.leases,
    tensorsFor: options.tensorsFor,
    onDropped: gathered(clock, options.dropCancelled),
    detached: { count: 0, onNone: undefined },
  }
  const byEndpoint = new Map<EndpointName, EndpointHealth>()

  function healthOf(endpoint: EndpointName): EndpointHealth {
    let found = byEndpoint.get(endpoint)
    if (!found) {
      found = new EndpointHealth({ clock, endpoint, versions, health, metrics })
      byEndpoint.set(endpoint, found)
    }
    return found
  }

  /** Calls the one version that a request needs, and records how it went. */
  async function call(prediction: Prediction, served: ServedVersion, role: CallRole): Promise<void> {
    const startedMs = clock.monotonicMs()
    let status = 'ok'
    let queueMs = 0
    let batchRows = 0
    let cached: 'hit' | 'coalesced' | undefined
    try {
      if (prediction.given !== undefined) {
        const tensors = options.tensorsFor!(prediction, served)
        prediction.tensors = tensors instanceof Promise ? await tensors : tensors
      }
      const result = await served.leaf.call(prediction, prediction.deadline!)
      queueMs = result.queueMs
      batchRows = result.batchRows
      cached = result.cached
      prediction.served = served
      prediction.answer = result.outputs
      prediction.answerCall = 0
      prediction.queueMs = queueMs
      prediction.computeMs = result.computeMs
      const { routeFlags } = prediction
      if (cached !== undefined || routeFlags !== 0 || prediction.servedFeatures?.isDegraded === true)
        prediction.flags = flagList(
          (cached === undefined ? 0 : CACHED) |
            (prediction.pinned ? PINNED : 0) |
            featureFlags(prediction, served) |
            routeFlags,
        )
    } catch (error) {
      const failure: HeadraceError = toHeadraceError(error)
      status = failure.code
      throw failure
    } finally {
      const { model, version } = served.ref
      const latencyMs = clock.monotonicMs() - startedMs
      const recorded = { leaf: served.key, model, version, role, status, latencyMs, queueMs, batchRows, cached }
      prediction.record(recorded)
      addCost(prediction, served, recorded)
    }
  }

  /** Calls a release's candidate, which has to be there: a lease is held only where it is. The baseline answers when the lease is lost. */
  async function callLeased(prediction: Prediction, leaf: VersionLeaf): Promise<void> {
    const { release, otherwise } = leaf.lease!
    const served = versions.resolve(leaf)
    const startedMs = clock.monotonicMs()
    const given = prediction.given === undefined ? prediction.tensors : options.tensorsFor!(prediction, served)
    const tensors = given instanceof Promise ? await given : given
    const input = new LeasedInput(prediction, tensors)
    const result = await whileLeased<LeafResult | undefined>(
      leases!,
      release,
      served.leaf.call(input, prediction.deadline!).catch((error: unknown) => {
        if (!input.isReplaced && leases!.holds(release))
          recordLeased(prediction, served, startedMs, toHeadraceError(error).code)
        throw error
      }),
      async () => {
        input.isReplaced = true
        services.onDropped()
        recordLeased(prediction, served, startedMs, LEASE_LOST)
        return undefined
      },
    )
    if (result === undefined) {
      prediction.routeFlags = LEASE_EXPIRED
      prediction.cache = prediction.endpoint.cache
      await versions.wake(otherwise, prediction.deadline!.remainingMs())
      return call(prediction, versions.resolve(otherwise), 'primary')
    }
    prediction.tensors = tensors
    prediction.served = served
    prediction.answer = result.outputs
    prediction.queueMs = result.queueMs
    prediction.computeMs = result.computeMs
    prediction.answerCall = recordLeased(prediction, served, startedMs, 'ok', result)
    prediction.flags = flagList((result.cached === undefined ? 0 : CACHED) | featureFlags(prediction, served))
  }

  function recordLeased(
    prediction: Prediction,
    served: ServedVersion,
    startedMs: number,
    status: string,
    result?: LeafResult,
  ): number {
    const { model, version } = served.ref
    const recorded = {
      leaf: served.key,
      model,
      version,
      role: 'primary' as const,
      status,
      latencyMs: clock.monotonicMs() - startedMs,
      queueMs: result?.queueMs ?? 0,
      batchRows: result?.batchRows ?? 0,
      cached: result?.cached,
    }
    addCost(prediction, served, recorded)
    return prediction.record(recorded)
  }

  function select(prediction: Prediction): Promise<void> {
    const { endpoint, unit, tenant, protocol, priority, metadata } = prediction
    const choices: RouteChoice[] = []
    prediction.choices = choices
    const context = { endpoint: endpoint.name, unit, tenant, protocol, priority, metadata, draw: random.next(), leases }
    const leaf = endpoint.route.select!(context, choices)
    metrics.choices(endpoint.name, choices)
    if (endpoint.route.isLeased) {
      if (hasUnleased(choices)) prediction.routeFlags = LEASE_EXPIRED
      if (prediction.cache !== undefined && leaf.partition !== undefined)
        prediction.cache = partitioned(prediction.cache, leaf.partition)
      if (leaf.lease !== undefined) return callLeased(prediction, leaf)
    }
    const waking = versions.wake(leaf, prediction.deadline!.remainingMs())
    if (waking !== undefined) return waking.then(() => call(prediction, versions.resolve(leaf), 'primary'))
    return call(prediction, versions.resolve(leaf), 'primary')
  }

  return {
    name: 'route',
    run(prediction) {
      if (prediction.pinned) return call(prediction, prediction.pinned, 'primary')
      const { direct, select: selects } = prediction.endpoint.route
      if (direct) return call(prediction, versions.resolve(direct), 'primary')
      if (selects) return select(prediction)
      return new Drive(services, healthOf(prediction.endpoint.name), prediction).start(random.next())
    },
    settled(limitMs) {
      const { detached } = services
      if (detached.count === 0) return Promise.resolve()
      return new Promise((resolve) => {
        const timer = clock.after(limitMs, resolve)
        detached.onNone = () => {
          timer.cancel()
          resolve()
        }
      })
    },
  }
}

/** Calls `act` a little later, once for all calls of that time. */
function gathered(clock: Clock, act: (() => void) | undefined): () => void {
  if (!act) return () => {}
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    clock.after(DROP_AFTER_MS, () => {
      isDue = false
      act()
    })
  }
}
