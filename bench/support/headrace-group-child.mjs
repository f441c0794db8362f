// The server under test in several processes (`server.processes`): a primary, and workers as the command line starts them.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { loadProject, startPrimary } from '../../dist/app/index.js'
import { createLogger, createPlatform } from '../../dist/core/index.js'

const project = await loadProject(process.argv[2], { environment: process.env })
const logger = createLogger({ level: project.config.server.logLevel })
const primary = await startPrimary({
  project,
  platform: createPlatform({ logger, withProcessMetrics: true }),
  script: fileURLToPath(new URL('../../bin/headrace.js', import.meta.url)),
  args: ['worker'],
})
await primary.loaded()
process.send({ url: primary.url })
process.once('SIGTERM', () => primary.close().then(() => process.exit(0)))
