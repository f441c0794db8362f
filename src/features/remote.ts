// Reading in a process that does not own the store: through its own connection to Redis, or by asking the owner for what is in its memory.
import type { Platform } from '../core/index.js'
import { enginesOnce } from './aggregate/engines-once.js'
import type { FeatureProject } from './compiled.js'
import { type FeaturesConfig, isRedisUsed } from './config.js'
import type { TablesState } from './materialise/table-rows.js'
import { directoryOf } from './materialise/tables.js'
import { createRedisOnlineStore } from './online/redis-online-store.js'
import { createRemoteOnlineStore } from './online/remote-online-store.js'
import { createFeatureReader } from './serve/reader.js'
import type { FeatureReader } from './serve/types.js'

export interface RemoteReaderOptions {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly config: FeaturesConfig
  readonly redisUrl: string | undefined
  /** Brings a request to the owner's `FeatureStore.answerReads`. */
  readonly ask: (request: Uint8Array) => Promise<Uint8Array>
}

export interface RemoteReader {
  readonly reader: FeatureReader
  /** Which tables requests read from now on. */
  follow(state: TablesState): void
  close(): Promise<void>
}

export async function openRemoteReader(options: RemoteReaderOptions): Promise<RemoteReader> {
  const { platform, project, config, redisUrl, ask } = options
  const redis = isRedisUsed(config, redisUrl)
    ? await createRedisOnlineStore({ platform, url: redisUrl!, engineOf: enginesOnce() })
    : undefined
  let directory = directoryOf(project, { tables: [], live: {} })
  return {
    reader: createFeatureReader({
      platform,
      project,
      store: redis ?? createRemoteOnlineStore(ask),
      tables: { live: (view) => directory.live(view) },
    }),
    follow(state) {
      directory = directoryOf(project, state)
    },
    close: async () => redis?.close(),
  }
}
