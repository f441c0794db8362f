// What faces ask of the process that owns the data folder: operations on plain data, by service and name. In that process a service is
// the object itself; with several processes, workers reach it over IPC, so that faces need not know where they run.
import { CoreErrors } from '../core/index.js'
import type { RegistryService } from '../registry/index.js'
import type { GateService, ReleaseService } from '../release/index.js'
import type { TrackingService } from '../tracking/index.js'
import type { AccessService } from './access/service.js'
import type { LiveService } from './live/open-live.js'
import type { NodesService } from './nodes/service.js'

/** One line per service, of the domain's own type; each is opened by its own `src/app/<area>/open-<area>.ts`, in open-engines.ts. */
export interface Services {
  readonly access: AccessService
  readonly gates: GateService
  readonly releases: ReleaseService
  readonly live: LiveService
  readonly nodes: NodesService
  readonly registry: RegistryService
  readonly tracking: TrackingService
}

// biome-ignore lint/complexity/noBannedTypes: what an operation takes and gives is the service's own type
type Operation = Function

/** Every operation of every service as a call of one function. An operation takes and gives plain data; its promise rejects with the same codes. */
export function remoteServices(
  ask: (service: string, operation: string, args: unknown[]) => Promise<unknown>,
): Services {
  return byName((service) =>
    byName(
      (operation) =>
        (...args: unknown[]) =>
          ask(service, operation, args),
    ),
  ) as Services
}

/** The other end of `remoteServices`. */
export async function answerService(
  services: Services,
  service: string,
  operation: string,
  args: readonly unknown[],
): Promise<unknown> {
  const target = (services as unknown as Readonly<Record<string, Readonly<Record<string, Operation>> | undefined>>)[
    service
  ]
  if (typeof target?.[operation] !== 'function')
    throw CoreErrors.INTERNAL({}, new Error(`No service has the operation ${service}.${operation}`))
  return target[operation](...args)
}

/** Made when first asked for. Symbols and `then` are asked by the language, of what might be a promise. */
function byName<T>(make: (name: string) => T): object {
  const made = new Map<string, T>()
  return new Proxy(
    {},
    {
      get(_, name) {
        if (typeof name === 'symbol' || name === 'then') return undefined
        const known = made.get(name) ?? make(name)
        made.set(name, known)
        return known
      },
    },
  )
}
