// The server under test with a feature store of its own, filled before it listens: 5 views of 10 features, `entities` users.
import process from 'node:process'
import { createApp, loadProject } from '../../dist/app/index.js'
import { createPlatform } from '../../dist/core/index.js'
import { createWindowEngine } from '../../dist/features/aggregate/engine.js'
import {
  column,
  compileFeatures,
  createFeatureReader,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  pushSource,
} from '../../dist/features/index.js'
import { createMemoryOnlineStore } from '../../dist/features/online/memory-online-store.js'
import { createRedisOnlineStore } from '../../dist/features/online/redis-online-store.js'
import { startServer } from '../../dist/server/index.js'

const [target, entities, redisUrl] = process.argv.slice(2)
const user = defineEntity('user', { keys: { user_id: 'string' } })
const views = Array.from({ length: 5 }, (_, v) => {
  const names = Array.from({ length: 10 }, (_, f) => `f${v * 10 + f}`)
  const columns = Object.fromEntries([...names.map((name) => [name, 'float64']), ['user_id', 'string']])
  return defineFeatureView(`view${v}`, {
    entities: [user],
    stream: pushSource(`events${v}`, { columns }),
    ttl: '1h',
    features: Object.fromEntries(names.map((name) => [name, column('float64')])),
  })
})
const definitions = compileFeatures([defineFeatureService('bench', views)])
const platform = createPlatform({ withProcessMetrics: true })
const store = redisUrl
  ? await createRedisOnlineStore({ platform, url: redisUrl, engineOf: createWindowEngine })
  : await createMemoryOnlineStore({ platform, engineOf: createWindowEngine })
const tables = { live: (view) => ({ view, name: `${view.table}.1` }) }
const nowMs = Date.now()
for (const view of definitions.views.values()) {
  const rows = Array.from({ length: Number(entities) }, (_, i) => ({
    key: `u${i}`,
    eventMs: nowMs,
    knownMs: nowMs,
    values: view.features.map((_, f) => Math.sin(i + f)),
  }))
  await store.writeRows(tables.live(view), rows)
}
const project = await loadProject(target, { environment: process.env })
const features = createFeatureReader({ platform, project: definitions, store, tables })
const app = await createApp(project, platform, { features })
const server = await startServer(app)
await app.start()
process.send({ url: server.url })
void server.loadApi()
process.once('SIGTERM', () =>
  server
    .close()
    .then(() => store.close())
    .then(() => process.exit(0)),
)
