// One training set in a process of its own: folder, output, 'known' or 'event'. Prints its figures as JSON.
import { createPlatform } from '../../dist/core/index.js'
import { compileFeatures } from '../../dist/features/compile.js'
import { column, defineEntity, defineFeatureService, defineFeatureView, fileSource } from '../../dist/features/index.js'
import { createOfflineStore } from '../../dist/features/offline/offline-store.js'

const [root, out, times] = process.argv.slice(2)
const user = defineEntity('user', { keys: { user_id: 'int64' } })
const views = [0, 1, 2, 3].map((v) =>
  defineFeatureView(`view${v}`, {
    entities: [user],
    source: fileSource(`view${v}`, {
      path: `view${v}.parquet`,
      eventTime: 'event_timestamp',
      ...(times === 'known' ? { knownTime: 'known' } : {}),
    }),
    features: Object.fromEntries([0, 1, 2, 3, 4].map((f) => [`v${v}_f${f}`, column('float64')])),
    ...(times === 'known' ? { ttl: '90d' } : {}),
  }),
)
const { services } = compileFeatures([defineFeatureService('all', views)])
const platform = createPlatform()
const store = createOfflineStore({
  platform,
  root,
  environment: {},
  memoryLimitBytes: 3 * 1024 ** 3,
  tempFolder: `${root}/work`,
  eventFiles: async () => [],
})
const report = await store.trainingSet({ service: services.get('all'), labels: 'labels.parquet', out })
const { user: userUs, system } = process.cpuUsage()
console.log(
  JSON.stringify({
    seconds: report.elapsedMs / 1000,
    cpuSeconds: (userUs + system) / 1e6,
    peakMib: process.resourceUsage().maxRSS / 1024,
  }),
)
