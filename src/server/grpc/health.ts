// gRPC's standard health service, for load balancers and Kubernetes probes: "" is the server, and every endpoint is a service.
import { isAllowed } from '../../access/index.js'
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
    unary(context, healthService.Check, 'open', ({ service }) => {
      const status = statusOf(context, service, restingModels(context))
      if (status === ServingStatus.SERVICE_UNKNOWN) context.app.endpoints.get(service)
      return { status }
    }),
    unary(context, healthService.List, { needs: 'see' }, (_request, { caller }) => {
      const endpoints = context.app.endpoints.list().filter(({ name }) => isAllowed(caller, 'see', name))
      const names = ['', ...endpoints.map(({ name }) => name)]
      const resting = restingModels(context)
      return { statuses: new Map(names.map((name) => [name, { status: statusOf(context, name, resting) }])) }
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

/** Asked for once for all the services that are looked at together: there may be thousands of either. */
function restingModels({ app }: ServerContext): ReadonlySet<string> {
  const resting = new Set<string>()
  for (const { ref, state } of app.pool.statuses()) if (state === 'resting') resting.add(ref.model)
  return resting
}

function statusOf(context: ServerContext, service: string, resting: ReadonlySet<string>): ServingStatus {
  const { app, closing } = context
  if (SERVER.has(service)) return app.isReady() && !closing.aborted ? ServingStatus.SERVING : ServingStatus.NOT_SERVING
  try {
    // Throws for names that nobody knows, whatever the server does.
    const { route } = app.endpoints.get(service)
    if (closing.aborted) return ServingStatus.NOT_SERVING
    // A probe wakes nothing: what rests would answer.
    if (!resting.has(route.leaves[0]!.model))
      destination(context, { protocol: 'oip', name: service, version: undefined })
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
  #isTellDue = false

  constructor(private readonly context: ServerContext) {
    context.app.pool.watch(() => this.#tellSoon())
  }

  add(call: Call, service: string): void {
    const watcher: Watcher = { service, told: undefined }
    this.#watchers.set(call, watcher)
    call.idles()
    this.#tell(call, watcher, statusOf(this.context, service, restingModels(this.context)))
    this.#lookAgain()
  }

  remove(call: Call): void {
    this.#watchers.delete(call)
  }

  /** Versions often change many at a time: they are told of together. */
  #tellSoon(): void {
    if (this.#isTellDue || this.#watchers.size === 0) return
    this.#isTellDue = true
    setImmediate(() => {
      this.#isTellDue = false
      this.#tellAll()
    })
  }

  #tellAll(): void {
    const resting = restingModels(this.context)
    const statuses = new Map<string, ServingStatus>()
    for (const [call, watcher] of this.#watchers) {
      const { service } = watcher
      let status = statuses.get(service)
      if (status === undefined) {
        status = statusOf(this.context, service, resting)
        statuses.set(service, status)
      }
      this.#tell(call, watcher, status)
    }
  }

  #tell(call: Call, watcher: Watcher, status: ServingStatus): void {
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
    if (watcher) this.#tell(call, watcher, statusOf(this.context, watcher.service, restingModels(this.context)))
    this.#watchers.delete(call)
    call.fail(PathErrors.DRAINING({ retryAfterMs: 1000 }))
  }
}
