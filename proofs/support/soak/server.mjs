// The server under the soak: what `headrace serve` runs, and on demand what is alive in it. Started with --expose-gc.
import { readdirSync } from 'node:fs'
import process from 'node:process'
import v8 from 'node:v8'

// Unreferenced timers are in no list of Node's, so they are counted here, before anything else loads.
const timers = new Set()
const { setTimeout: set, clearTimeout: clear } = globalThis
globalThis.setTimeout = (callback, ...rest) => {
  const timer = set(
    (...values) => {
      timers.delete(timer)
      callback(...values)
    },
    ...rest,
  )
  timers.add(timer)
  return timer
}
globalThis.clearTimeout = (timer) => {
  timers.delete(timer)
  clear(timer)
}

const { createApp, loadProject } = await import('../../../dist/app/index.js')
const { createLogger, createPlatform } = await import('../../../dist/core/index.js')
const { Prediction } = await import('../../../dist/path/index.js')
const { startServer } = await import('../../../dist/server/index.js')

const project = await loadProject(process.argv[2], { environment: process.env })
const logger = createLogger({ level: project.config.server.logLevel })
const app = await createApp(project, createPlatform({ logger, withProcessMetrics: true }))
const server = await startServer(app)
await app.start()
await server.loadApi()

/** Counts of what must not pile up. Objects are counted after a garbage collection. */
function alive() {
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  const resources = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  return {
    inFlight: app.path.inFlight,
    heldBytes: heapUsed + external,
    timers: timers.size,
    sockets: resources.TCPSocketWrap ?? 0,
    threads: readdirSync('/proc/self/task').length,
    files: readdirSync('/proc/self/fd').length,
    predictions: v8.queryObjects(Prediction, { format: 'count' }),
    promises: v8.queryObjects(Promise, { format: 'count' }),
    resources,
  }
}

process.on('message', () => process.send(alive()))
process.send({ url: server.url })
process.once('SIGTERM', () => server.close().then(() => process.exit(0)))
