// Starts the server under test, or a rival, in a fresh process of its own.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Subject {
  readonly url: string
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
      const { url } = message as { url: string }
      resolve({ url, pid: child.pid!, stop: () => stop(child) })
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

/** A models folder with version 1 of each model, written as a whole; remove it with `rm`. */
export async function madeModels(
  models: Readonly<Record<string, { readonly model: Uint8Array; readonly manifest?: Record<string, unknown> }>>,
): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'headrace-models-'))
  for (const [name, { model, manifest }] of Object.entries(models)) {
    const version = path.join(folder, name, '1')
    await mkdir(version, { recursive: true })
    await writeFile(path.join(version, 'model.onnx'), model)
    if (manifest) await writeFile(path.join(version, 'model.json'), JSON.stringify(manifest))
  }
  return folder
}
