// A real server whose versions say what they were given: scripts that answer with their inputs as JSON, in front of an online store that
// the test fills by hand.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPlatform, type Platform } from '../../src/core/index.js'
import { createWindowEngine } from '../../src/features/aggregate/engine.js'
import { compileFeatures } from '../../src/features/compile.js'
import type { CompiledView, FeatureProject } from '../../src/features/compiled.js'
import { encodeKey } from '../../src/features/entity-key.js'
import { createFeatureReader } from '../../src/features/index.js'
import { createMemoryOnlineStore } from '../../src/features/online/memory-online-store.js'
import type { OnlineRead, OnlineStore, OnlineTable } from '../../src/features/online/types.js'
import type { Value } from '../../src/features/value.js'
import { readRecords, type StoredRecord } from '../../src/log/index.js'
import { startTestServer, type TestServer, type TestServerOptions } from './start-server.js'

export interface EchoVersion {
  /** Inputs by name; a datatype, or one with a shape. */
  readonly inputs: Readonly<Record<string, string | { datatype: string; shape: readonly number[] }>>
  readonly manifest?: Readonly<Record<string, unknown>>
  /** Of the answer, for cascades; default 0.9. */
  readonly sure?: number
}

export interface FeatureServer extends TestServer {
  readonly featureProject: FeatureProject
  readonly store: OnlineStore
  /** Every reading of the store, newest last. */
  readonly reads: (readonly OnlineRead[])[]
  put(view: string, keys: Readonly<Record<string, unknown>>, values: readonly Value[], ageMs?: number): Promise<void>
  /** Answers of the newest predictions in the log. */
  logged(): Promise<StoredRecord[]>
}

export interface FeatureServerOptions extends TestServerOptions {
  readonly definitions: readonly unknown[]
  /** By `model/version`. */
  readonly versions: Readonly<Record<string, EchoVersion>>
  readonly store?: (platform: Platform) => Promise<OnlineStore>
}

/** A table of each view, the same from the start. */
export function tableOf(view: CompiledView): OnlineTable {
  return { view, name: `${view.table}.1` }
}

export async function startFeatureServer(options: FeatureServerOptions): Promise<FeatureServer> {
  const project = compileFeatures(options.definitions)
  for (const [name, version] of Object.entries(options.versions)) {
    const folder = join(options.folder, 'models', name)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'model.mjs'), echoScript(version))
    if (version.manifest) writeFileSync(join(folder, 'model.json'), JSON.stringify(version.manifest))
  }
  const engineOf = createWindowEngine
  const reads: (readonly OnlineRead[])[] = []
  const platform = createPlatform(options.platform)
  const store = await (options.store?.(platform) ?? createMemoryOnlineStore({ platform, engineOf }))
  const server = await startTestServer({
    ...options,
    models: [],
    platform,
    features: () =>
      createFeatureReader({
        platform,
        project,
        tables: { live: tableOf },
        store: {
          read(asked, atMs) {
            reads.push(asked)
            return store.read(asked, atMs)
          },
        },
      }),
  })
  return {
    ...server,
    featureProject: project,
    store,
    reads,
    async put(name, keys, values, ageMs = 1000) {
      const view = project.views.get(name)!
      const eventMs = Date.now() - ageMs
      const key = encodeKey(view.keys, (part) => keys[part])
      await store.writeRows(tableOf(view), [{ key, eventMs, knownMs: eventMs, values }])
    },
    async logged() {
      await server.app.log.flush()
      const found: StoredRecord[] = []
      for await (const record of readRecords(server.app.log.folder)) found.push(record)
      return found
    },
    async close() {
      await server.close()
      await store.close()
    },
  }
}

function echoScript({ inputs, sure = 0.9 }: EchoVersion): string {
  return `import { defineScript } from 'headrace'
export default defineScript({
  inputs: ${JSON.stringify(inputs)},
  outputs: { seen: 'BYTES', probability: { datatype: 'FP32', shape: [-1, 2] } },
  labels: ['no', 'yes'],
  row: (row) => ({ seen: JSON.stringify(row, (_, value) => Number.isNaN(value) ? 'NaN' : value), probability: [1 - ${sure}, ${sure}] }),
})
`
}
