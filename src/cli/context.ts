// What every command is given: how to reach a server, running or opened for this command alone, over the public HTTP API.
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { type App, createApp, type LoadedProject, loadProject } from '../app/index.js'
import { createLogger, createPlatform, toHeadraceError } from '../core/index.js'
import { serverError, unreachable } from './answers.js'
import { CliErrors } from './errors.js'
import { findServer, type ServerFile } from './server-file.js'

/** Handed over by bin/headrace.js, because the command line and the server may not import each other. */
export interface Faces {
  startServer(app: App): Promise<{
    readonly url: string
    readonly grpcAddress: string | undefined
    loadApi(): Promise<void>
    close(): Promise<void>
  }>
}

/** Options of the program itself, before the command. */
export interface GlobalOptions {
  readonly server?: string
  /** Default: HEADRACE_KEY. */
  readonly key?: string
  readonly project: string
  readonly dataDir?: string
  readonly json?: true
  readonly verbose?: true
}

export interface Api {
  readonly url: string
  /** What each of its requests carries: the caller's key, for streams that are read by other means. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether its server was started for this command alone, so that nobody else writes to its log. */
  readonly isOwn: boolean
  /** The parsed JSON of a 2xx answer; anything else throws the server's error. */
  json<T>(method: string, path: string, body?: unknown): Promise<T>
  /** The answer itself, for streams and text. Throws as `json` does. */
  request(method: string, path: string, init?: RequestInit): Promise<Response>
}

export const packageVersion: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

export async function projectOf(options: GlobalOptions): Promise<LoadedProject> {
  const overrides = options.dataDir === undefined ? {} : { store: { dataDir: options.dataDir } }
  return loadProject(options.project, { environment: process.env, overrides })
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
  const key = keyOf(options)
  if (options.server !== undefined) return work(createApi(options.server, key, false))
  const found = await projectOrServer(options)
  if (found.server !== undefined) return work(createApi(found.server.url, key, false))
  const { project } = found
  const quiet = {
    ...project.config,
    server: { ...project.config.server, host: '127.0.0.1', port: 0, grpcPort: false as const },
  }
  const logger = createLogger({ level: options.verbose ? 'info' : 'error' })
  const app = await createApp({ ...project, config: quiet }, createPlatform({ logger }))
  const server = await faces.startServer(app).catch(async (error: unknown) => {
    await app.close()
    throw error
  })
  try {
    if (needs.loads) await app.start({ runsFeatures: false })
    // Who has the data folder has everything that is in it.
    return await work(createApi(server.url, app.access.ownerKey, true))
  } finally {
    await server.close()
  }
}

type ProjectOrServer = { readonly server: ServerFile } | { readonly server: undefined; readonly project: LoadedProject }

async function projectOrServer(options: GlobalOptions): Promise<ProjectOrServer> {
  try {
    const project = await projectOf(options)
    const server = await findServer(project.dataDir)
    return server === undefined ? { server, project } : { server }
  } catch (error) {
    // "serve model.onnx" makes the folder it was started in no project, but its data folder is there.
    const isNoProject = toHeadraceError(error).code === 'CONFIG_NOTHING_TO_SERVE'
    const server = isNoProject ? await findServer(path.resolve(options.dataDir ?? '.headrace')) : undefined
    if (server === undefined) throw error
    return { server }
  }
}

/** Where the running server is: --server, or the one that has the project open. Throws CLI_NO_SERVER when none has. */
export async function serverUrl(options: GlobalOptions): Promise<string> {
  if (options.server !== undefined) return options.server.replace(/\/+$/, '')
  const found = await projectOrServer(options)
  if (found.server === undefined) throw CliErrors.NO_SERVER({ dataDir: found.project.dataDir })
  return found.server.url
}

/** The key that commands send; undefined for none. */
export function keyOf({ key }: Pick<GlobalOptions, 'key'>): string | undefined {
  return key ?? (process.env['HEADRACE_KEY'] || undefined)
}

function createApi(url: string, key: string | undefined, isOwn: boolean): Api {
  const base = url.replace(/\/+$/, '')
  // A connection that is not kept lets the server end at once when it was started for this command.
  const headers = {
    'headrace-actor': `person:${userName()}`,
    connection: 'close',
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
  }
  async function request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response
    try {
      response = await fetch(base + path, { ...init, method, headers: { ...headers, ...init.headers } })
    } catch (error) {
      throw unreachable(base, error)
    }
    if (!response.ok) throw serverError(response.status, await response.text())
    return response
  }
  return {
    url: base,
    headers,
    isOwn,
    request,
    async json<T>(method: string, path: string, body?: unknown): Promise<T> {
      const init =
        body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
      return (await request(method, path, init)).json() as Promise<T>
    },
  }
}

/** For the record of decisions; a header carries ASCII only. */
function userName(): string {
  try {
    return userInfo().username.replace(/[^\x20-\x7e]/g, '?')
  } catch {
    return 'unknown' // Containers run as users that no passwd file lists.
  }
}
