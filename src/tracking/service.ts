// Puts the operations together over one database.
import type { Platform } from '../core/index.js'
import type { Sql } from '../store/index.js'
import { createArtifacts } from './artifacts.js'
import { createExperiments } from './experiments.js'
import { createHistory } from './history.js'
import { createNumbers } from './ids.js'
import { createInputs } from './inputs.js'
import { createLogBatch } from './log-batch.js'
import { createLoggedModels } from './logged-models.js'
import { createRuns } from './runs.js'
import { SEARCH_LIMITS, type SearchLimits } from './search/search-runs.js'
import type { TrackingContext } from './store.js'
import { trackingMigrations } from './tables.js'
import type { TrackingService } from './types.js'

export interface TrackingOptions {
  readonly sql: Sql
  readonly platform: Pick<Platform, 'clock' | 'random'>
  /** For tests; default `SEARCH_LIMITS`. */
  readonly searchLimits?: SearchLimits
}

/**
 * Brings the tables up to date and gives the operations on them.
 *
 *     const tracking = await createTracking({ sql, platform })
 *     const { info } = await tracking.createRun({ experimentId: '0', tags: [] })
 *     await tracking.logBatch(info.runId, { metrics: [{ key: 'auc', value: 0.9, timestampMs, step: 0 }], params: [], tags: [] })
 */
export async function createTracking({
  sql,
  platform,
  searchLimits = SEARCH_LIMITS,
}: TrackingOptions): Promise<TrackingService> {
  await sql.migrate('tracking', trackingMigrations(sql.dialect, platform.clock.nowMs()))
  const context: TrackingContext = { sql, platform, nextNumber: createNumbers(platform), searchLimits }
  return {
    ...createExperiments(context),
    ...createRuns(context),
    ...createLogBatch(context),
    ...createHistory(context),
    ...createInputs(context),
    ...createLoggedModels(context),
    ...createArtifacts(context),
  }
}
