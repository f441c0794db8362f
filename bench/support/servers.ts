// Starts the server under test, or a rival, in a fresh process of its own.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export interface Subject {
  readonly url: string
  /** Of a server that speaks gRPC: `127.0.0.1:8081`. */
  readonly grpc?: string | undefined
  readonly pid: number
  stop(): Promise<void>
}

/** Runs a script that sends `{ url }` once it listens. Plain JavaScript, so that no loader runs beside the server. */
export function startScript(
  script: URL,
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<Subject> {
  const child = fork(fileURLToPath(script), args, {
    execArgv: [],
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${script.pathname} ended with status ${code} before it listened.`)))
    child.once('message', (message) => {
      const { url, grpc } = message as { url: string; grpc?: string }
      resolve({ url, grpc, pid: child.pid!, stop: () => stop(child) })
    })
  })
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.removeAllListeners('exit')
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}

/** A Headrace server over a models folder or a project, with everything embedded, in a data folder of its own. */
export async function startHeadrace(target: string, environment: NodeJS.ProcessEnv = {}): Promise<Subject> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'headrace-bench-'))
  const subject = await startScript(new URL('./headrace-child.mjs', import.meta.url), [target], {
    HEADRACE_STORE_DATA_DIR: dataDir,
    HEADRACE_SERVER_PORT: '0',
    HEADRACE_SERVER_LOG_LEVEL: 'error',
    ...environment,
  })
  return {
    ...subject,
    async stop() {
      await subject.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/**
 * Waits until servers have measured what their models take: half a second of CPU in a process of their own, some 5 s after the start.
 * It would count among the requests of whoever is measured first.
 */
export async function settled(): Promise<void> {
  await setTimeout(SETTLE_MS)
}

const SETTLE_MS = 8000

/** By name: the graph of version 1, and what its model.json says. */
export type MadeModels = Readonly<
  Record<string, { readonly model: Uint8Array; readonly manifest?: Record<string, unknown> }>
>

/** A project over such models with these endpoints, as its configuration writes them; remove it with `rm`. */
export async function madeProject(models: MadeModels, endpoints: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'headrace-project-'))
  await writeModels(path.join(folder, 'models'), models)
  const config = JSON.stringify({ models: { folder: './models' }, endpoints })
  await writeFile(path.join(folder, 'headrace.config.mjs'), `export default ${config}\n`)
  return folder
}

/** A models folder; remove it with `rm`. */
export async function madeModels(models: MadeModels): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'headrace-models-'))
  await writeModels(folder, models)
  return folder
}

async function writeModels(folder: string, models: MadeModels): Promise<void> {
  for (const [name, { model, manifest }] of Object.entries(models)) {
    const version = path.join(folder, name, '1')
    await mkdir(version, { recursive: true })
    await writeFile(path.join(version, 'model.onnx'), model)
    if (manifest) await writeFile(path.join(version, 'model.json'), JSON.stringify(manifest))
  }
}

/** The sum of a metric's series whose labels hold all of these texts, from a server's /metrics. */
export async function readMetric({ url }: Subject, name: string, ...labels: readonly string[]): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  let sum = 0
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue
    if (labels.every((label) => line.includes(label))) sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}
