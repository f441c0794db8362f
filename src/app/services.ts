// What faces ask of the process that owns the data folder: operations on plain data, by service and name. In that process a service is
// the object itself; with several processes, workers reach it over IPC, so that faces need not know where they run.

/** One line per service; each is opened by its own `src/app/<area>/open-<area>.ts`. */
// biome-ignore lint/suspicious/noEmptyInterface: services join as they are built
export interface Services {}

// biome-ignore lint/complexity/noBannedTypes: what an operation takes and gives is the service's own type
type Operation = Function

/** Every operation of every service as a call of one function. */
export function remoteServices(
  ask: (service: string, operation: string, args: unknown[]) => Promise<unknown>,
): Services {
  return new Proxy({} as Services, {
    get: (_, service) =>
      new Proxy(
        {},
        {
          get:
            (_target, operation) =>
            (...args: unknown[]) =>
              ask(String(service), String(operation), args),
        },
      ),
  })
}

/** The other end of `remoteServices`. */
export async function answerService(
  services: Services,
  service: string,
  operation: string,
  args: readonly unknown[],
): Promise<unknown> {
  const target = (services as Record<string, Record<string, Operation>>)[service]!
  return target[operation]!(...args)
}
