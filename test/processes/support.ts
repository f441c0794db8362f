// A server of several processes, its workers, and requests that reach each of them: every one on a connection of its own.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type Agent, request } from 'node:http'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type CliServer, makeFolder, startServe } from '../cli/support.js'

export interface Group extends CliServer {
  readonly folder: string
  /** Process ids of the workers, oldest first. */
  workers(): number[]
}

/** `headrace serve --processes 2` over these models of the shop; killed after the test, workers and all. */
export async function startGroup(models: readonly string[], config?: string, ...args: string[]): Promise<Group> {
  const { folder, remove } = makeFolder(models)
  onTestFinished(remove)
  if (config !== undefined) writeFileSync(join(folder, 'headrace.config.mjs'), config)
  const server = await startServe(folder, '--processes', '2', '--log-level', 'error', ...args)
  const workers = () => childrenOf(server.child.pid!)
  onTestFinished(() => {
    for (const pid of workers()) kill(pid)
    server.child.kill('SIGKILL')
  })
  return { ...server, folder, workers }
}

export interface Answer {
  readonly status: number
  readonly body: string
  /** Whether it came over a connection that an earlier request had opened. */
  readonly isReused: boolean
}

/** Rejects with the error of the connection. */
export function ask(url: string, options: { method?: string; json?: unknown; agent?: Agent } = {}): Promise<Answer> {
  const { method = 'GET', json, agent } = options
  const body = json === undefined ? '' : JSON.stringify(json)
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent: agent ?? false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode!, body: text, isReused: outgoing.reusedSocket }))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** The value of a metric at the server, over all its processes; 0 when there is no such series. */
export async function metric(url: string, series: string): Promise<number> {
  const { body } = await ask(`${url}/metrics`)
  return Number(
    body
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length) ?? 0,
  )
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/** Asks again until it is so. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  // A connection that reaches a worker at its end is broken like any other.
  const isSoNow = async () => {
    try {
      return await isSo()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return false
      throw error
    }
  }
  while (!(await isSoNow())) await new Promise((resolve) => setTimeout(resolve, 20))
}

export function isAlive(pid: number): boolean {
  try {
    // A process that has ended stays in the table until its parent looks.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function childrenOf(parent: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    try {
      const [, fields = ''] = readFileSync(join('/proc', String(pid), 'stat'), 'utf8').split(') ')
      const [state, owner] = fields.split(' ')
      return Number(owner) === parent && state !== 'Z' && state !== 'X'
    } catch {
      return false
    }
  })
}
