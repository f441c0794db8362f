// Opens the feature store of the data folder, and gives it what it needs of the other domains.
import path from 'node:path'
import process from 'node:process'
import type { Platform } from '../../core/index.js'
import { type FeatureProject, type FeatureStore, openFeatureStore, type TablesState } from '../../features/index.js'
import type { Sql } from '../../store/index.js'
import type { LoadedProject } from '../load-project.js'
import { rowsFromLog, servedFromLog } from './served-from-log.js'

export interface FeatureEngines {
  readonly sql: Sql
  /** From the node's own copy, when the metadata store is away. */
  readonly known: TablesState | undefined
  /** Makes the decision `features.switch`. */
  readonly decideSwitch: (view: string, table: string, evidence: Readonly<Record<string, unknown>>) => Promise<void>
}

export function openFeatures(
  { config, root, dataDir }: LoadedProject,
  project: FeatureProject,
  platform: Platform,
  { sql, known, decideSwitch }: FeatureEngines,
): Promise<FeatureStore> {
  const log = path.join(dataDir, 'log')
  return openFeatureStore({
    platform,
    project,
    config: config.features,
    root,
    folder: path.join(dataDir, 'features'),
    redisUrl: config.store.redisUrl,
    environment: process.env,
    sql,
    known,
    decideSwitch,
    served: (range) => servedFromLog(log, range),
    logged: (range) => rowsFromLog(log, range),
  })
}
