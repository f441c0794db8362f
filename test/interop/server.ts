// The compiled command `headrace serve`, over the models that the clients are tried on.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServe } from '../cli/support.js'
import { writeModels } from './models.js'

export interface InteropServer {
  readonly url: string
  /** host:port of HTTP and of gRPC, as clients take them. */
  readonly http: string
  readonly grpc: string
  readonly modelsFolder: string
  close(): Promise<void>
}

export async function startInteropServer(): Promise<InteropServer> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-interop-'))
  const modelsFolder = join(folder, 'models')
  writeModels(modelsFolder)
  const grpcPort = await freePort()
  const server = await startServe(folder, '--grpc-port', String(grpcPort), '--log-level', 'error')
  return {
    url: server.url,
    http: new URL(server.url).host,
    grpc: `127.0.0.1:${grpcPort}`,
    modelsFolder,
    async close() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Where a command is found on the PATH. */
export function commandPath(name: string): string | undefined {
  const { status, stdout } = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}
