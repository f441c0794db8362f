// `headrace worker`: one of the processes that `headrace serve --processes` starts. It is of no use by hand, so help does not show it.
import process from 'node:process'
import type { Command } from 'commander'
import { type App, connectToPrimary, createApp, withDefinitions } from '../app/index.js'
import { createLogger, createPlatform } from '../core/index.js'
import type { Faces } from './context.js'
import { CliErrors } from './errors.js'
import { humanLog } from './human-log.js'
import { servedSummary } from './summary.js'

export async function work(faces: Faces): Promise<void> {
  if (process.send === undefined)
    throw CliErrors.USAGE({ problem: 'Only a primary starts this command.', help: 'serve --help' })
  let app: App | undefined
  let server: Awaited<ReturnType<Faces['startServer']>> | undefined
  let isStopping = false

  async function stop(): Promise<void> {
    isStopping = true
    // Models that are still being loaded would keep the process for as long as that takes.
    await (server ? server.close() : app?.close())
    process.exit(0)
  }

  // Ctrl-C reaches every process of a terminal; the primary says when to end.
  process.on('SIGINT', () => {})
  const primary = await connectToPrimary({
    stop: () => void stop(),
    summary: async () => (app && server ? servedSummary(app, server.url, server.grpcAddress) : ''),
  })
  process.on('SIGTERM', () => primary.retire())
  try {
    const { number } = primary
    const project = await withDefinitions(primary.project)
    process.title = `headrace worker ${number}`
    const destination = process.stderr.isTTY ? { destination: humanLog(process.stderr) } : {}
    const logger = createLogger({ level: project.config.server.logLevel, ...destination }).child({ worker: number })
    const platform = createPlatform({ logger, withProcessMetrics: true })
    app = await createApp(project, platform, { engines: await primary.openEngines(platform, project) })
    if (primary.isReplacement) await app.start()
    server = await faces.startServer(app)
    primary.listening(server.url, server.grpcAddress)
    if (!primary.isReplacement) await app.start()
    primary.loaded()
    if (!isStopping) await server.loadApi()
  } catch (error) {
    if (!isStopping) primary.failed(error)
  }
}

export function addWorker(program: Command, faces: Faces): void {
  program
    .command('worker', { hidden: true })
    .description('one of the processes that "headrace serve --processes" starts')
    .addHelpText('after', '\nIt is started by its primary:\n\nExample:\n  headrace serve --processes 2\n')
    .action(() => work(faces))
}
