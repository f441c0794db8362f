// A training set in a process of its own, to be killed: prints each step as it begins.
import { createPlatform } from '../../dist/core/index.js'
import { compileFeatures } from '../../dist/features/compile.js'
import { createOfflineStore } from '../../dist/features/offline/offline-store.js'

const [root, definitions] = process.argv.slice(2)
const { services } = compileFeatures((await import(definitions)).default)
const store = createOfflineStore({
  platform: createPlatform(),
  root,
  environment: {},
  threads: 1,
  tempFolder: `${root}/temp`,
  eventFiles: async () => [],
})
await store.trainingSet({
  service: services.get('s'),
  labels: 'labels.parquet',
  out: 'train.parquet',
  onProgress: ({ step }) => process.stdout.write(`${step}\n`),
})
