// The project as each worker gets it. It crosses to another process, so it must be plain data.
import { type AddressInfo, createServer } from 'node:net'
import { defaultThreads } from '../../serving/index.js'
import { ProcessErrors } from '../errors.js'
import type { LoadedProject } from '../load-project.js'

/** Bounds that the configuration gives for the server are divided. Throws PROCESS_PROJECT_NOT_PLAIN. */
export async function shareOf(project: LoadedProject): Promise<LoadedProject> {
  const { server, serving } = project.config
  const share = (bound: number): number => Math.ceil(bound / server.processes)
  const shared: LoadedProject = {
    ...project,
    config: {
      ...project.config,
      server: {
        ...server,
        port: server.port === 0 ? await freePort(server.host) : server.port,
        maxConnections: share(server.maxConnections),
        maxInFlight: share(server.maxInFlight),
        maxBufferedBytes: share(server.maxBufferedBytes),
      },
      serving: { ...serving, threads: serving.threads ?? defaultThreads(server.processes) },
    },
  }
  try {
    return structuredClone(shared)
  } catch (error) {
    throw ProcessErrors.PROJECT_NOT_PLAIN({ problem: (error as Error).message }, error)
  }
}

/** Workers that start later have to find the same port. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
