// Runs bin/headrace.js as a user does: a process of its own, in a folder of its own. It needs a finished build.
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { FEATURE_VERSIONS } from '../support/shop.js'

export const ROOT = join(import.meta.dirname, '../..')
export const SHOP = join(ROOT, 'examples/shop')
export const BIN = join(ROOT, 'bin/headrace.js')

/** A test starts several processes, and a machine that is busy takes seconds for each. */
export const LONG = { timeout: 300_000 }

export interface Finished {
  /** null when a signal ended it. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The environment without settings of whoever runs the tests. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HEADRACE_')))
}

/** Starts `node <file> …args` and collects what it prints. */
export function startNode(
  args: readonly string[],
  folder: string,
  extra: Readonly<Record<string, string>> = {},
): { child: ChildProcess; printed: Finished; finished: Promise<Finished> } {
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...environment(), ...extra } })
  const printed = { status: null as number | null, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (printed.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()))
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (status) => {
      printed.status = status
      resolve(printed)
    })
  })
  return { child, printed, finished }
}

/** `headrace …args`, to its end. */
export function headrace(folder: string, ...args: string[]): Promise<Finished> {
  return startNode([BIN, ...args], folder).finished
}

/** The same with `--json`, parsed. Fails the test when the command fails. */
export async function headraceJson<T>(folder: string, ...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await headrace(folder, ...args, '--json')
  if (status !== 0) throw new Error(`headrace ${args.join(' ')} ended with ${status}: ${stderr}`)
  return JSON.parse(stdout) as T
}

export interface CliServer {
  readonly url: string
  readonly child: ChildProcess
  readonly printed: Finished
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<Finished>
}

/** `headrace serve …args` on a free port; resolves when its models are loaded. */
export async function startServe(folder: string, ...args: string[]): Promise<CliServer> {
  const { child, printed, finished } = startNode([BIN, 'serve', ...args, '--port', '0', '--json'], folder)
  const line = new Promise<string>((resolve) => createInterface({ input: child.stdout! }).once('line', resolve))
  const first = await Promise.race([line, finished])
  if (typeof first !== 'string') throw new Error(`headrace serve ended with ${first.status}: ${first.stderr}`)
  const { url } = JSON.parse(first) as { url: string }
  return {
    url,
    child,
    printed,
    stop() {
      child.kill('SIGTERM')
      return finished
    },
  }
}

/** A folder that is removed by `remove`; with `models`, those of the shop (but versions that need its features) and the samples. */
export function makeFolder(models: readonly string[] = []): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-cli-'))
  for (const model of models) {
    cpSync(join(SHOP, 'models', model), join(folder, 'models', model), { recursive: true })
    for (const version of FEATURE_VERSIONS) rmSync(join(folder, 'models', version), { recursive: true, force: true })
    cpSync(join(SHOP, `samples/${model}.json`), join(folder, `samples/${model}.json`))
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
