// Starts the server under test, or a rival, in a fresh process of its own.
import { type ChildProcess, fork } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
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

/** A models folder that holds copies of versions, with changes to their model.json; remove it with `rm`. */
export async function modelsFolder(
  versions: readonly { readonly name: string; readonly from: string; readonly manifest?: Record<string, unknown> }[],
): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'headrace-models-'))
  for (const { name, from, manifest } of versions) {
    const to = path.join(folder, name, '1')
    await cp(from, to, { recursive: true })
    const file = path.join(to, 'model.json')
    const given = await readFile(file, 'utf8').then(JSON.parse, () => ({}))
    await writeFile(file, JSON.stringify({ ...given, ...manifest }))
  }
  return folder
}
