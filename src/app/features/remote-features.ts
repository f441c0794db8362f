// Features in a worker process: it reads through its own connection to Redis, or asks the primary for what is in its memory; everything else
// is the primary's to do.
import type { Platform } from '../../core/index.js'
import {
  FeatureErrors,
  type FeatureOperations,
  type FeatureProject,
  openRemoteReader,
  type RemoteReader,
} from '../../features/index.js'
import type { LoadedProject } from '../load-project.js'
import type { Features } from './features.js'

/** What a worker asks of the primary. */
export interface FeatureOwner {
  read(request: Uint8Array): Promise<Uint8Array>
  ask(operation: keyof FeatureOperations, args: readonly unknown[]): Promise<unknown>
}

export interface RemoteFeatures extends Features, Pick<RemoteReader, 'follow' | 'close'> {}

export async function openRemoteFeatures(
  { config }: LoadedProject,
  project: FeatureProject,
  platform: Platform,
  owner: FeatureOwner,
): Promise<RemoteFeatures> {
  const { reader, follow, close } = await openRemoteReader({
    platform,
    project,
    config: config.features,
    redisUrl: config.store.redisUrl,
    ask: (request) => owner.read(request),
  })
  return { project, reader, operations: remoteOperations(owner), start: async () => undefined, follow, close }
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
