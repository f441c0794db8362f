// A copy of the repository in which samples run: what they write never reaches the checkout, and two pages never meet.
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const NOT_COPIED = new Set(['node_modules', '.git', '.headrace', 'results'])

/** Longest a sample may take; a server may take as long to be ready. */
const TIMEOUT_MS = 120_000

export interface Workspace {
  readonly folder: string
  /** Where this workspace's server listens, in place of 8080. */
  readonly port: number
  remove(): void
}

export async function createWorkspace(): Promise<Workspace> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-docs-'))
  const filter = (source: string): boolean => !NOT_COPIED.has(basename(source))
  cpSync(ROOT, folder, { recursive: true, preserveTimestamps: true, filter: (path) => path === ROOT || filter(path) })
  // A real folder of links, not one link: a sample that removes node_modules removes links.
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '.bin'), { recursive: true })
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (name !== '.bin') symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  for (const name of readdirSync(join(ROOT, 'node_modules/.bin'))) {
    symlinkSync(join(ROOT, 'node_modules/.bin', name), join(modules, '.bin', name))
  }
  symlinkSync('../../bin/headrace.js', join(modules, '.bin/headrace'))
  symlinkSync('..', join(modules, 'headrace'))
  return { folder, port: await freePort(), remove: () => rmSync(folder, { recursive: true, force: true }) }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

export interface Finished {
  readonly status: number
  readonly output: string
}

/** The text of a sample as it is run: on this workspace's port, and with its dependencies already installed. */
function prepared(workspace: Workspace, text: string): string {
  return text
    .replace(/\b(127\.0\.0\.1|localhost):8080\b/g, `$1:${workspace.port}`)
    .replace(/\bnpm (ci|install)\b(?=\s*(&&|$))/gm, 'true')
}

function start(workspace: Workspace, folder: string, text: string): ChildProcess {
  return spawn('bash', ['-euo', 'pipefail', '-c', prepared(workspace, text)], {
    cwd: join(workspace.folder, folder),
    env: {
      ...process.env,
      PATH: `${join(workspace.folder, 'node_modules/.bin')}:${process.env['PATH']}`,
      HEADRACE_SERVER_PORT: String(workspace.port),
      HEADRACE_SERVER_GRPC_PORT: '0',
    },
    // A group of its own, so that what the shell started is stopped with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs a sample to its end; `output` holds what it printed, errors included. */
export function runSample(workspace: Workspace, folder: string, text: string): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = start(workspace, folder, text)
    const output = collect(child)
    const timer = setTimeout(() => stopGroup(child, 'SIGKILL'), TIMEOUT_MS)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ status: code ?? 124, output: output() })
    })
  })
}

export interface RunningServer {
  stop(): Promise<void>
}

/** Starts a server by a command and waits until it is ready. */
export async function startServer(workspace: Workspace, folder: string, text: string): Promise<RunningServer> {
  const child = start(workspace, folder, text)
  const output = collect(child)
  let exited = false
  const exit = new Promise<void>((resolve) => {
    child.once('close', () => {
      exited = true
      resolve()
    })
  })
  const stop = async (): Promise<void> => {
    if (exited) return
    stopGroup(child, 'SIGTERM')
    const timer = setTimeout(() => stopGroup(child, 'SIGKILL'), 30_000)
    await exit
    clearTimeout(timer)
  }
  const url = `http://127.0.0.1:${workspace.port}/readyz`
  const deadline = performance.now() + TIMEOUT_MS
  while (!exited && performance.now() < deadline) {
    const ready = await fetch(url)
      .then((response) => response.ok)
      .catch(() => false)
    if (ready) return { stop }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await stop()
  throw new Error(`the server was never ready at ${url}; it printed:\n${output()}`)
}

function collect(child: ChildProcess): () => string {
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return () => output
}

function stopGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group has ended by itself.
  }
}
