// `headrace serve`: opens the project, listens, loads the models, and ends in good order.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { createApp, type LoadedProject, type LoadOptions, loadProject, startPrimary } from '../app/index.js'
import { createLogger, createPlatform, type Platform } from '../core/index.js'
import { type Faces, type GlobalOptions, packageVersion } from './context.js'
import { humanLog } from './human-log.js'
import { wholeNumber } from './options.js'
import { print, reportError } from './output.js'
import { removeServerFile, writeServerFile } from './server-file.js'
import { servedSummary } from './summary.js'

export interface ServeOptions {
  readonly port?: number
  readonly grpcPort?: number
  /** False for `--no-grpc`. */
  readonly grpc?: boolean
  readonly host?: string
  readonly dataDir?: string
  readonly threads?: number
  readonly processes?: number
  readonly insecure?: true
  readonly chaos?: true
  readonly logLevel?: string
}

export interface RunningServe {
  readonly url: string
  /** `127.0.0.1:8081`; undefined when gRPC is switched off. */
  readonly grpcAddress: string | undefined
  readonly dataDir: string
  readonly processes: number
  /**
   * Resolves when every model found was either warmed up or refused; `/readyz` is 503 until then. False when the server was
   * closed meanwhile. When it rejects, the server is closed.
   */
  load(): Promise<boolean>
  /** What is served, for a person. */
  summary(): Promise<string>
  /** Finishes what is in flight, flushes the log, removes server.json. */
  close(): Promise<void>
}

/** What listens: one process with an app, or a primary with workers. */
interface Listening {
  readonly url: string
  readonly grpcAddress: string | undefined
  load(): Promise<void>
  isReady(): boolean
  /** What can wait until the models are loaded. */
  afterLoad(): Promise<void>
  summary(): Promise<string>
  close(): Promise<void>
}

/** Opens a target and listens; nothing is loaded before `load`. */
export async function serve(faces: Faces, target: string, options: ServeOptions): Promise<RunningServe> {
  const project = await loadProject(target, { environment: process.env, overrides: overridesOf(options) })
  const { config, dataDir } = project
  const { processes } = config.server
  const destination = process.stderr.isTTY ? { destination: humanLog(process.stderr) } : {}
  const logger = createLogger({ level: config.server.logLevel, ...destination })
  const platform = createPlatform({ logger, withProcessMetrics: true })
  const listening = await (processes === 1 ? listenAlone(faces, project, platform) : listenTogether(project, platform))
  const { url, grpcAddress } = listening
  const startedAt = new Date(platform.clock.nowMs()).toISOString()
  await writeServerFile(dataDir, {
    url,
    grpc: grpcAddress,
    pid: process.pid,
    startedAt,
    version: packageVersion,
    processes,
  })
  logger.info({ url, grpc: grpcAddress, dataDir, ...(processes === 1 ? {} : { processes }) }, 'listening')
  let isClosing = false

  async function close(): Promise<void> {
    isClosing = true
    logger.info({}, 'stopping')
    await listening.close()
    await removeServerFile(dataDir)
    logger.info({}, 'stopped')
  }

  return {
    url,
    grpcAddress,
    dataDir,
    processes,
    async load() {
      try {
        await listening.load()
      } catch (error) {
        if (isClosing) return false
        await close()
        throw error
      }
      logger.info({ ready: listening.isReady() }, 'models loaded')
      if (!isClosing) await listening.afterLoad()
      return !isClosing
    },
    summary: listening.summary,
    close,
  }
}

async function listenAlone(faces: Faces, project: LoadedProject, platform: Platform): Promise<Listening> {
  const app = await createApp(project, platform)
  const server = await faces.startServer(app).catch(async (error: unknown) => {
    await app.close()
    throw error
  })
  return {
    url: server.url,
    grpcAddress: server.grpcAddress,
    load: app.start,
    isReady: app.isReady,
    afterLoad: () => server.loadApi(),
    summary: () => servedSummary(app, server.url, server.grpcAddress),
    close: () => server.close(),
  }
}

async function listenTogether(project: LoadedProject, platform: Platform): Promise<Listening> {
  // The worker command of this same command line (worker.ts), whatever has called `serve`.
  const script = fileURLToPath(new URL('../../bin/headrace.js', import.meta.url))
  const primary = await startPrimary({ project, platform, script, args: ['worker'] })
  return {
    url: primary.url,
    grpcAddress: primary.grpcAddress,
    load: () => primary.loaded(),
    isReady: () => primary.isReady(),
    async afterLoad() {},
    summary: () => primary.summary(),
    close: () => primary.close(),
  }
}

function overridesOf(options: ServeOptions): NonNullable<LoadOptions['overrides']> {
  const { port, host, insecure, logLevel, processes, threads, dataDir, chaos } = options
  const grpcPort = options.grpc === false ? false : options.grpcPort
  return {
    server: defined({ port, grpcPort, host, insecure, logLevel, processes }),
    serving: defined({ threads }),
    store: defined({ dataDir }),
    chaos: defined({ enabled: chaos }),
  }
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** One Ctrl-C can arrive twice: from the terminal, and passed on by npm. Only a later one is meant as "now". */
const SAME_SIGNAL_MS = 1000

/**
 * First SIGTERM or SIGINT: drain, and end with status 0; a server that still starts is let start first. Another one a second
 * later or more: end at once.
 */
export function endOnSignal(starting: Promise<RunningServe>, failed: (error: unknown) => number): void {
  let stoppingSinceMs: number | undefined
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now()
      if (stoppingSinceMs !== undefined) {
        if (nowMs - stoppingSinceMs > SAME_SIGNAL_MS) process.exit(1)
        return
      }
      stoppingSinceMs = nowMs
      const closing = starting.then((running) => running.close())
      closing.then(
        // Models that were still being loaded would keep the process for as long as that takes.
        () => process.exit(0),
        (error: unknown) => process.exit(failed(error)),
      )
    })
  }
}

export function addServe(program: Command, faces: Faces): void {
  program
    .command('serve')
    .argument('[path]', 'a project folder, a models folder or one .onnx file (default: --project)')
    .description('serve models over HTTP and gRPC until stopped')
    .option('--port <number>', 'HTTP port, 0 takes any free one (default: 8080)', wholeNumber)
    .option(
      '--grpc-port <number>',
      'gRPC port, 0 takes any free one (default: the one after the HTTP port)',
      wholeNumber,
    )
    .option('--no-grpc', 'serve no gRPC')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--processes <number>', 'processes that serve the port (default: 1)', wholeNumber)
    .option(
      '--threads <number>',
      'threads that run models, in each process (default: its share of the cores less one)',
      wholeNumber,
    )
    .option('--insecure', 'listen beyond loopback although callers are not authenticated')
    .option('--chaos', 'take the faults of "headrace chaos", for tests and drills; on loopback only')
    .option('--log-level <level>', 'debug, info, warn, error or silent (default: info)')
    .addHelpText(
      'after',
      '\nWith --json it prints one line when the models are loaded: {"url", "grpc", "pid", "dataDir", "processes"}.\n\nExamples:\n  headrace serve\n  headrace serve ./models --port 9000\n  headrace serve model.onnx\n',
    )
    .action(async (target: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<ServeOptions & GlobalOptions>()
      const starting = serve(faces, target ?? options.project, options)
      endOnSignal(starting, (error) => reportError(error, options))
      const running = await starting
      if (!(await running.load())) return
      const { url, grpcAddress, dataDir, processes } = running
      if (options.json) print(JSON.stringify({ url, grpc: grpcAddress, pid: process.pid, dataDir, processes }))
      else if (process.stdout.isTTY) print(`\n${await running.summary()}\n`)
    })
}
