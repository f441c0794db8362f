// The project as each worker gets it. It crosses to another process, so it must be plain data.
import { type AddressInfo, createServer, type Server } from 'node:net'
import { defaultThreads } from '../../serving/index.js'
import { ProcessErrors } from '../errors.js'
import type { LoadedProject } from '../load-project.js'
import { grpcPortOf } from '../project.js'

/** Bounds that the configuration gives for the server are divided. Throws PROCESS_PROJECT_NOT_PLAIN. */
export async function shareOf(project: LoadedProject): Promise<LoadedProject> {
  const { server, serving } = project.config
  const share = (bound: number): number => Math.ceil(bound / server.processes)
  const [free, freeForGrpc] = await freePorts(server.host)
  const grpcPort = grpcPortOf(server)
  // Definitions hold functions: a worker loads them itself.
  const { features: _, ...plain } = project
  const shared: LoadedProject = {
    ...plain,
    config: {
      ...project.config,
      server: {
        ...server,
        port: server.port === 0 ? free : server.port,
        grpcPort: grpcPort === undefined ? false : grpcPort === 0 ? freeForGrpc : grpcPort,
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

/** Two of them: workers that start later have to find the same ones. */
async function freePorts(host: string): Promise<[number, number]> {
  const listen = () =>
    new Promise<Server>((resolve, reject) => {
      const server = createServer().once('error', reject)
      server.listen(0, host, () => resolve(server))
    })
  const servers = [await listen(), await listen()] as const
  const [first, second] = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return [first!, second!]
}
