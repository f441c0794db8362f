// `.headrace/server.json`: how commands find the server that has a data folder open. A server that was killed leaves its file
// behind, and another process may have its number or its port by now: only the server itself says whether it is still there.
import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

export interface ServerFile {
  readonly url: string
  /** `127.0.0.1:8081`; absent when it serves no gRPC. */
  readonly grpc?: string | undefined
  readonly pid: number
  readonly startedAt: string
  readonly version: string
  /** Processes that serve the port. */
  readonly processes: number
}

/** Long enough for a busy server. One that does not even say this in time is there, and slow. */
const ANSWER_MS = 5000

const fileIn = (dataDir: string) => path.join(dataDir, 'server.json')

export async function writeServerFile(dataDir: string, server: ServerFile): Promise<void> {
  await writeFile(fileIn(dataDir), `${JSON.stringify(server, null, 2)}\n`)
}

export async function removeServerFile(dataDir: string): Promise<void> {
  await rm(fileIn(dataDir), { force: true })
}

/** The server that runs over a data folder; undefined when there is none, or when it ended without removing its file. */
export async function findServer(dataDir: string): Promise<ServerFile | undefined> {
  const server = await readServerFile(dataDir)
  return server !== undefined && (await isServing(server)) ? server : undefined
}

async function readServerFile(dataDir: string): Promise<ServerFile | undefined> {
  try {
    const server = JSON.parse(await readFile(fileIn(dataDir), 'utf8')) as Partial<ServerFile> | null
    return typeof server?.url === 'string' && typeof server.pid === 'number' ? (server as ServerFile) : undefined
  } catch {
    return undefined // Not there, or cut off in the middle of writing.
  }
}

async function isServing({ url, pid }: ServerFile): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/v1/status`, { signal: AbortSignal.timeout(ANSWER_MS) })
    // It is there, and does not say more without a key.
    if (response.status === 401 || response.status === 403) return true
    const status = (await response.json()) as { readonly pid?: number }
    return status.pid === pid
  } catch (error) {
    return (error as Error).name === 'TimeoutError'
  }
}
