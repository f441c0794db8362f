// gRPC's standard health service, for load balancers and Kubernetes probes: "" is the server, and every endpoint is a service.
import { toHeadraceError } from '../../core/index.js'
import { healthService, ServingStatus } from '../../oip/index.js'
import { PathErrors } from '../../path/index.js'
import type { ServerContext } from '../context.js'
import { destination } from '../predict/request.js'
import type { Call, GrpcMethod } from './call.js'
import { decoded, frameOf, SMALL_BYTES, unary } from './unary.js'

/** Names that stand for the whole server. */
const SERVER = new Set(['', 'inference.GRPCInferenceService', 'grpc.health.v1.Health'])

/** Watchers hear of versions at once; what else decides readiness is looked at so often. */
const LOOK_MS = 1000

export function healthMethods(context: ServerContext): GrpcMethod[] {
  const watchers = new Watchers(context)
  return [
    unary(healthService.Check, ({ service }) => {
      const status = statusOf(context, service)
      if (status === ServingStatus.SERVICE_UNKNOWN) context.app.endpoints.get(service)
      return { status }
    }),
    unary(healthService.List, () => {
      const names = ['', ...context.app.endpoints.list().map(({ name }) => name)]
      return { statuses: new Map(names.map((name) => [name, { status: statusOf(context, name) }])) }
    }),
    {
      path: healthService.Watch.path,
      takesMany: false,
      mayIdle: true,
      limitBytes: SMALL_BYTES,
      message: (call, message) => watchers.add(call, decoded(healthService.Watch, message).service),
      gone: (call) => watchers.remove(call),
      drain: (call) => watchers.drain(call),
    },
  ]
}

function statusOf(context: ServerContext, service: string): ServingStatus {
  const { app, closing } = context
  if (SERVER.has(service)) return app.isReady() && !closing.aborted ? ServingStatus.SERVING : ServingStatus.NOT_SERVING
  try {
    // Throws for names that nobody knows, whatever the server does.
    const { route } = app.endpoints.get(service)
    if (closing.aborted) return ServingStatus.NOT_SERVING
    // A probe wakes nothing: what rests would answer.
    const isResting = app.pool
      .statuses()
      .some(({ ref, state }) => ref.model === route.leaves[0]!.model && state === 'resting')
    if (!isResting) destination(context, { protocol: 'oip', name: service, version: undefined })
    return ServingStatus.SERVING
  } catch (error) {
    return toHeadraceError(error).status === 404 ? ServingStatus.SERVICE_UNKNOWN : ServingStatus.NOT_SERVING
  }
}

interface Watcher {
  readonly service: string
  told: ServingStatus | undefined
}

class Watchers {
  readonly #watchers = new Map<Call, Watcher>()
  #isLooking = false

  constructor(private readonly context: ServerContext) {
    context.app.pool.watch(() => this.#tellAll())
  }

  add(call: Call, service: string): void {
    const watcher: Watcher = { service, told: undefined }
    this.#watchers.set(call, watcher)
    call.idles()
    this.#tell(call, watcher)
    this.#lookAgain()
  }

  remove(call: Call): void {
    this.#watchers.delete(call)
  }

  #tellAll(): void {
    for (const [call, watcher] of this.#watchers) this.#tell(call, watcher)
  }

  #tell(call: Call, watcher: Watcher): void {
    const status = statusOf(this.context, watcher.service)
    if (status === watcher.told) return
    watcher.told = status
    call.write(frameOf(healthService.Watch, { status }))
  }

  #lookAgain(): void {
    if (this.#isLooking || this.#watchers.size === 0) return
    this.#isLooking = true
    this.context.app.platform.clock.after(LOOK_MS, () => {
      this.#isLooking = false
      this.#tellAll()
      this.#lookAgain()
    })
  }

  /** `closing` is aborted by now, so that what is told is that the service goes. */
  drain(call: Call): void {
    const watcher = this.#watchers.get(call)
    if (watcher) this.#tell(call, watcher)
    this.#watchers.delete(call)
    call.fail(PathErrors.DRAINING({ retryAfterMs: 1000 }))
  }
}
