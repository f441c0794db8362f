// `.headrace/server.json`: how commands find the server that has a data folder open. Stale files are recognised by their process.
import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'

export interface ServerFile {
  readonly url: string
  readonly pid: number
  readonly startedAt: string
  readonly version: string
}

const fileIn = (dataDir: string) => path.join(dataDir, 'server.json')

export async function writeServerFile(dataDir: string, server: ServerFile): Promise<void> {
  await writeFile(fileIn(dataDir), `${JSON.stringify(server, null, 2)}\n`)
}

export async function removeServerFile(dataDir: string): Promise<void> {
  await rm(fileIn(dataDir), { force: true })
}

/** The server that runs over a data folder; undefined when there is none, or when it ended without removing its file. */
export async function findServer(dataDir: string): Promise<ServerFile | undefined> {
  const text = await readFile(fileIn(dataDir), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const server = JSON.parse(text) as ServerFile
    return isRunning(server.pid) ? server : undefined
  } catch {
    return undefined // Cut off in the middle of writing: as good as absent.
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
