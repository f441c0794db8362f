// The server under test: what `headrace serve` runs, without the command line.
import process from 'node:process'
import { createApp, loadProject } from '../../dist/app/index.js'
import { createLogger, createPlatform } from '../../dist/core/index.js'
import { startServer } from '../../dist/server/index.js'

const project = await loadProject(process.argv[2], { environment: process.env })
const logger = createLogger({ level: project.config.server.logLevel })
const app = await createApp(project, createPlatform({ logger, withProcessMetrics: true }))
const server = await startServer(app)
await app.start()
process.send({ url: server.url, grpc: server.grpcAddress })
void server.loadApi()
process.once('SIGTERM', () => server.close().then(() => process.exit(0)))
