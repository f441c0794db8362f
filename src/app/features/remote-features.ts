// Features in a worker process: it reads through its own connection to Redis, or asks the primary for what is in its memory; everything else
// is the primary's to do.
import type { Platform } from '../../core/index.js'
import {
  createFeatureReader,
  createRedisOnlineStore,
  createRemoteOnlineStore,
  directoryOf,
  enginesOnce,
  FeatureErrors,
  type FeatureOperations,
  type FeatureProject,
  isRedisUsed,
  type TablesState,
} from '../../features/index.js'
import type { LoadedProject } from '../load-project.js'
import type { Features } from './features.js'

/** What a worker asks of the primary. */
export interface FeatureOwner {
  read(request: Uint8Array): Promise<Uint8Array>
  ask(operation: keyof FeatureOperations, args: readonly unknown[]): Promise<unknown>
}

export interface RemoteFeatures extends Features {
  /** Which tables requests read from now on. */
  follow(state: TablesState): void
  close(): Promise<void>
}

export async function openRemoteFeatures(
  { config }: LoadedProject,
  definitions: FeatureProject,
  platform: Platform,
  owner: FeatureOwner,
): Promise<RemoteFeatures> {
  const redis = isRedisUsed(config.features, config.store.redisUrl)
    ? await createRedisOnlineStore({ platform, url: config.store.redisUrl!, engineOf: enginesOnce() })
    : undefined
  let directory = directoryOf(definitions, { tables: [], live: {} })
  return {
    project: definitions,
    reader: createFeatureReader({
      platform,
      project: definitions,
      store: redis ?? createRemoteOnlineStore((request) => owner.read(request)),
      tables: { live: (view) => directory.live(view) },
    }),
    operations: remoteOperations(owner),
    start: async () => undefined,
    follow(state) {
      directory = directoryOf(definitions, state)
    },
    close: async () => redis?.close(),
  }
}

/** A record, so that none can be forgotten. */
const OPERATIONS: Readonly<Record<keyof FeatureOperations, true>> = {
  status: true,
  push: true,
  writeRows: true,
  materialise: true,
  trainingSet: true,
  trainingSetFromLog: true,
  verify: true,
  infer: true,
  check: true,
  jobs: true,
  job: true,
  cancel: true,
  lastVerifications: true,
  quarantine: true,
  emptyQuarantine: true,
  retryQuarantine: true,
}

function remoteOperations(owner: FeatureOwner): FeatureOperations {
  const names = Object.keys(OPERATIONS) as (keyof FeatureOperations)[]
  return Object.fromEntries(
    names.map((name) => [name, (...args: readonly unknown[]) => owner.ask(name, args)]),
  ) as unknown as FeatureOperations
}

/** The owner's side of `ask`. Throws FEATURE_NONE_DEFINED. */
export function answerOperation(
  features: Features | undefined,
  operation: keyof FeatureOperations,
  args: readonly unknown[],
): Promise<unknown> {
  if (features === undefined || !Object.hasOwn(OPERATIONS, operation)) throw FeatureErrors.NONE_DEFINED()
  const { operations } = features
  const asked = operations[operation] as (...args: readonly unknown[]) => Promise<unknown>
  return asked.apply(operations, [...args])
}
