// A server for the demos: as `headrace serve` starts it, with a data folder that goes away afterwards.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const SHOP = fileURLToPath(new URL('..', import.meta.url))
const BIN = fileURLToPath(new URL('../../../bin/headrace.js', import.meta.url))

export interface DemoServer {
  readonly url: string
  readonly processes: number
  /** What it said on standard error. */
  readonly complaints: readonly string[]
  stop(): Promise<void>
}

/** The shop, with faults allowed. */
export function startShop(processes: number): Promise<DemoServer> {
  return startServer(SHOP, processes, ['--chaos'])
}

/** Resolves when the models are loaded; rejects with what the server said when it ends before. */
export async function startServer(project: string, processes: number, options: readonly string[]): Promise<DemoServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'headrace-demo-'))
  const args = ['serve', project, '--port', '0', '--json', '--log-level', 'error', '--data-dir', dataDir, ...options]
  const child = spawn(process.execPath, [BIN, ...args, '--processes', String(processes)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  process.once('exit', () => child.kill())
  const complaints: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const line = new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve))
  const first = await Promise.race([line, ended])
  if (first === undefined) {
    await rm(dataDir, { recursive: true, force: true })
    throw new Error(`the server ended before it served:\n${complaints.join('\n')}`)
  }
  return {
    url: (JSON.parse(first) as { url: string }).url,
    processes,
    complaints,
    async stop() {
      child.kill('SIGTERM')
      await ended
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
