// `headrace serve`: opens the project, listens, loads the models, and ends in good order.
import process from 'node:process'
import type { Command } from 'commander'
import { createApp, endpointViews, type LoadOptions, loadProject, modelViews } from '../app/index.js'
import { createLogger, createPlatform } from '../core/index.js'
import { type Faces, packageVersion } from './context.js'
import { print, table } from './output.js'
import { removeServerFile, writeServerFile } from './server-file.js'

interface ServeOptions {
  readonly port?: number
  readonly grpcPort?: number
  readonly host?: string
  readonly dataDir?: string
  readonly threads?: number
  readonly insecure?: boolean
  readonly logLevel?: string
}

export interface RunningServe {
  readonly url: string
  /** Finishes what is in flight, flushes the log, removes server.json. */
  close(): Promise<void>
}

/** Starts a server over a target; resolves when it listens and its models are loaded. */
export async function serve(faces: Faces, target: string, options: ServeOptions): Promise<RunningServe> {
  const project = await loadProject(target, { environment: process.env, overrides: overridesOf(options) })
  const { config, dataDir } = project
  const logger = createLogger({ level: config.server.logLevel })
  const app = await createApp(project, createPlatform({ logger, withProcessMetrics: true }))
  const server = await faces.startServer(app).catch(async (error: unknown) => {
    await app.close()
    throw error
  })
  const startedAt = new Date(app.platform.clock.nowMs()).toISOString()
  await writeServerFile(dataDir, { url: server.url, pid: process.pid, startedAt, version: packageVersion })
  logger.info({ url: server.url, dataDir }, 'listening')
  await app.start()
  logger.info({ ready: app.isReady() }, 'models loaded')
  if (process.stdout.isTTY) print(await summary(server.url, dataDir))
  return {
    url: server.url,
    async close() {
      await server.close()
      await removeServerFile(dataDir)
      logger.info({}, 'stopped')
    },
  }

  async function summary(url: string, folder: string): Promise<string> {
    const models = (await modelViews(app)).flatMap(({ name, versions }) =>
      versions.map(({ version, state, isolation, reason }) => [name, version, state, isolation ?? '', reason ?? '']),
    )
    const endpoints = endpointViews(app).map(({ name, ready, model, version }) => [
      name,
      ready ? `${model}/${version}` : 'not ready',
    ])
    return [
      '',
      `Headrace ${packageVersion} serves at ${url}`,
      `  API and try-it-out  ${url}/api/docs`,
      `  metrics             ${url}/metrics`,
      `  data folder         ${folder}`,
      '',
      table(['model', 'version', 'state', 'runs', ''], models),
      '',
      table(['endpoint', 'answers'], endpoints),
      '',
    ].join('\n')
  }
}

function overridesOf(options: ServeOptions): NonNullable<LoadOptions['overrides']> {
  const { port, grpcPort, host, insecure, logLevel, threads, dataDir } = options
  return {
    server: defined({ port, grpcPort, host, insecure, logLevel }),
    serving: defined({ threads }),
    store: defined({ dataDir }),
  }
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** First SIGTERM or SIGINT: drain and end with status 0. Second: end at once. Resolves when it has drained. */
export function untilSignalled(running: RunningServe): Promise<void> {
  return new Promise((resolve, reject) => {
    let isStopping = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (isStopping) process.exit(1)
        isStopping = true
        running.close().then(resolve, reject)
      })
    }
  })
}

export function addServe(program: Command, faces: Faces, integer: (text: string) => number): void {
  program
    .command('serve')
    .argument('[path]', 'a project folder, a models folder or one .onnx file', '.')
    .description('serve models over HTTP until stopped')
    .option('--port <number>', 'HTTP port, 0 takes any free one (default 8080)', integer)
    .option('--grpc-port <number>', 'port kept for gRPC; nothing listens on it yet (default 8081)', integer)
    .option('--host <address>', 'address to listen on (default 127.0.0.1)')
    .option('--threads <number>', 'threads for inference (default: the number of cores, at least 2)', integer)
    .option('--insecure', 'listen beyond loopback although callers are not authenticated')
    .option('--log-level <level>', 'debug, info, warn, error or silent (default info)')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace serve\n  headrace serve ./models --port 9000\n  headrace serve model.onnx\n',
    )
    .action(async (target: string, _: unknown, command: Command) => {
      await untilSignalled(await serve(faces, target, command.optsWithGlobals<ServeOptions>()))
    })
}
