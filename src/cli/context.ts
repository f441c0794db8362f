// What every command is given: how to reach a server, running or opened for this command alone, over the public HTTP API.
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import process from 'node:process'
import { type App, createApp, type LoadedProject, loadProject } from '../app/index.js'
import { createLogger, createPlatform, HeadraceError, type LogLevel } from '../core/index.js'
import { CliErrors } from './errors.js'
import { findServer } from './server-file.js'

/** Handed over by bin/headrace.js, because the command line and the server may not import each other. */
export interface Faces {
  startServer(app: App): Promise<{ readonly url: string; close(): Promise<void> }>
}

/** Options of the program itself, before the command. */
export interface GlobalOptions {
  readonly server?: string
  readonly project: string
  readonly dataDir?: string
  readonly json: boolean
  readonly verbose: boolean
}

export interface Api {
  readonly url: string
  /** The parsed JSON of a 2xx answer; anything else throws the server's error. */
  json<T>(method: string, path: string, body?: unknown): Promise<T>
  /** The answer itself, for streams and text. Throws as `json` does. */
  request(method: string, path: string, init?: RequestInit): Promise<Response>
}

export const packageVersion: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

export async function projectOf(options: GlobalOptions, target = options.project): Promise<LoadedProject> {
  const overrides = options.dataDir === undefined ? {} : { store: { dataDir: options.dataDir } }
  return loadProject(target, { environment: process.env, overrides })
}

/**
 * Runs `work` against the server named by --server, or the one that has the project's data folder open, or else one
 * started in this process for this command alone. `loads` says whether that one must load the models first.
 */
export async function withApi<T>(
  faces: Faces,
  options: GlobalOptions,
  needs: { readonly loads: boolean },
  work: (api: Api) => Promise<T>,
): Promise<T> {
  if (options.server !== undefined) return work(createApi(options.server))
  const project = await projectOf(options)
  const running = await findServer(project.dataDir)
  if (running) return work(createApi(running.url))
  const quiet = { ...project.config, server: { ...project.config.server, host: '127.0.0.1', port: 0 } }
  const logger = createLogger({ level: options.verbose ? 'info' : ('error' satisfies LogLevel) })
  const app = await createApp({ ...project, config: quiet }, createPlatform({ logger }))
  const server = await faces.startServer(app)
  try {
    if (needs.loads) await app.start()
    return await work(createApi(server.url))
  } finally {
    await server.close()
  }
}

function createApi(url: string): Api {
  const base = url.replace(/\/+$/, '')
  const actor = `person:${userInfo().username}`
  async function request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response
    try {
      response = await fetch(base + path, { ...init, method, headers: { 'headrace-actor': actor, ...init.headers } })
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      throw CliErrors.SERVER_UNREACHABLE(
        { url: base, reason: cause instanceof Error ? cause.message : String(cause) },
        error,
      )
    }
    if (!response.ok) throw await serverError(response)
    return response
  }
  return {
    url: base,
    request,
    async json<T>(method: string, path: string, body?: unknown): Promise<T> {
      const init =
        body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
      return (await request(method, path, init)).json() as Promise<T>
    },
  }
}

async function serverError(response: Response): Promise<HeadraceError> {
  const text = await response.text()
  try {
    const { error, code } = JSON.parse(text) as { error: string; code?: string }
    return new HeadraceError(code ?? `HTTP_${response.status}`, error, response.status, false, 'error', {})
  } catch {
    return new HeadraceError(
      `HTTP_${response.status}`,
      text.slice(0, 500) || response.statusText,
      response.status,
      false,
      'error',
      {},
    )
  }
}
