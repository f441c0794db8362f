// The one path: admit → features → route → shape → record. Every request takes it; nothing gets a private one.
import { type Platform, toHeadraceError, type VersionRef } from '../core/index.js'
import type { FeatureReader } from '../features/index.js'
import type { PredictionLog } from '../log/index.js'
import type { PredictionCache, ServedVersion } from '../serving/index.js'
import { admitStage } from './admit.js'
import { type Endpoint, firstThere, type Versions } from './endpoint.js'
import { type EndpointFeatures, FeatureRoutes } from './endpoint-features.js'
import { featureStage } from './features-stage.js'
import type { BreakerChange } from './health.js'
import type { Leases } from './leases.js'
import { createPathMetrics } from './metrics.js'
import type { Prediction } from './prediction.js'
import { recordStage } from './record.js'
import { RouteMetrics } from './route-metrics.js'
import { routeStage } from './route-stage.js'
import type { Stage } from './stage.js'

export interface PathOptions {
  readonly platform: Platform
  readonly versions: Versions
  readonly log: PredictionLog
  /** Most predictions in flight at once; default 4096. */
  readonly maxInFlight?: number
  /** Reads what versions with a feature service are given beside the request; without it they get what the request brings. */
  readonly features?: FeatureReader | undefined
  /** The answers kept for a route's `last-known` leaves; without it they have none. */
  readonly answers?: PredictionCache | undefined
  /** Which releases' candidates this process may call; without it none. */
  readonly leases?: Leases | undefined
  /** Drops queued calls whose input says `cancelled`; called at most every few milliseconds. */
  readonly dropCancelled?: (() => void) | undefined
  /** Told of a request that no version was called for: the one it was written to, why, and how long it took. It must not throw. */
  readonly onRefused?: ((version: VersionRef, code: string, ms: number) => void) | undefined
  /** Told after a version's circuit has changed. It must not throw. */
  readonly onBreaker?: ((change: BreakerChange) => void) | undefined
  /** Runs a callback once replies have had their turn; default `setImmediate`. */
  readonly defer?: (callback: () => void) => void
}

/** Work after replies (shadows) that has not ended by then is left behind when the path drains. */
const SETTLE_LIMIT_MS = 5_000

export interface Path {
  /**
   * Takes a prediction through the stages. Never rejects: a failure is in `prediction.error`, otherwise `prediction.reply` is set.
   * The record is in the log (and durable, if the endpoint asks for that) when it resolves.
   */
  predict(prediction: Prediction): Promise<void>
  /**
   * Refuses new requests from now on and resolves when those in flight have been answered, and the work they left behind has ended
   * or taken too long.
   */
  drain(): Promise<void>
  readonly inFlight: number
  readonly isDraining: boolean
  /** What callers of an endpoint (or of a version they pin) are to bring; undefined where no version has a feature service. */
  featuresOf(endpoint: Endpoint, pinned: ServedVersion | undefined): EndpointFeatures | undefined
  /** Counts the error of a request that was refused before it became a prediction. */
  countError(code: string): void
}

const shapeStage: Stage = { name: 'shape', run: (prediction) => prediction.shaper(prediction) }

export function createPath(options: PathOptions): Path {
  const { platform, versions, log, maxInFlight = 4096, defer = setImmediate } = options
  const { clock, logger } = platform
  let inFlight = 0
  let isDraining = false
  let drained: (() => void) | undefined
  const admit = admitStage({
    clock,
    versions,
    isDraining: () => isDraining,
    inFlight: () => inFlight,
    maxInFlight,
  })
  const routes = new RouteMetrics(platform.metrics)
  const featureRoutes = options.features && new FeatureRoutes(options.features, versions, logger)
  const features = featureRoutes && featureStage(clock, options.features!, featureRoutes)
  const route = routeStage({ ...options, metrics: routes, tensorsFor: features?.tensorsFor })
  const metrics = createPathMetrics(platform.metrics)
  const record = recordStage({ clock, log, metrics, routes })

  function fail(prediction: Prediction, error: unknown): void {
    const failure = toHeadraceError(error)
    prediction.error = failure
    if (failure.level === 'error')
      logger.error({ err: failure, id: prediction.id, endpoint: prediction.endpoint.name }, failure.message)
  }

  function refused({ pinned, endpoint, error, admitMs }: Prediction): void {
    const reference = pinned ?? firstThere(endpoint.route.leaves, versions)
    if (reference !== undefined) options.onRefused?.(reference.ref, error!.code, admitMs)
  }

  return {
    async predict(prediction) {
      inFlight++
      let markMs = prediction.arrivedMs
      try {
        const admitting = admit.run(prediction)
        if (admitting) await admitting
        // Reading and parsing are part of admitting.
        const admittedMs = clock.monotonicMs()
        prediction.admitMs = admittedMs - markMs
        markMs = admittedMs
        if (prediction.given !== undefined) {
          const serving = features!.run(prediction)
          if (serving) await serving
          const servedMs = clock.monotonicMs()
          prediction.featuresMs = servedMs - markMs
          markMs = servedMs
        }
        await route.run(prediction)
        const routedMs = clock.monotonicMs()
        prediction.routeMs = routedMs - markMs
        markMs = routedMs
        const shaping = shapeStage.run(prediction)
        if (shaping) await shaping
        prediction.shapeMs = clock.monotonicMs() - markMs
      } catch (error) {
        fail(prediction, error)
        if (prediction.admitMs === 0) {
          prediction.admitMs = clock.monotonicMs() - markMs
          refused(prediction)
        } else if (prediction.routeMs === 0) prediction.routeMs = clock.monotonicMs() - markMs
      }
      try {
        const recording = record.run(prediction)
        if (recording) await recording
      } catch (error) {
        fail(prediction, error)
      }
      const { afterReply } = prediction
      if (afterReply) defer(() => afterReply.goOn())
      inFlight--
      if (inFlight === 0) drained?.()
    },
    async drain() {
      isDraining = true
      if (inFlight > 0)
        await new Promise<void>((resolve) => {
          drained = resolve
        })
      await route.settled(SETTLE_LIMIT_MS)
    },
    get inFlight() {
      return inFlight
    },
    get isDraining() {
      return isDraining
    },
    featuresOf: (endpoint, pinned) => featureRoutes?.of(endpoint, pinned),
    countError: metrics.countError,
  }
}
