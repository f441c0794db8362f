// The whole history of one metric of a run, a page at a time.
import { sql } from 'kysely'
import { TrackingErrors } from './errors.js'
import { fromStoredValue } from './metric-value.js'
import { readPageToken, writePageToken } from './page-token.js'
import { runRow } from './runs.js'
import type { TrackingContext } from './store.js'
import { bucketOf, type TrackingTables } from './tables.js'
import type { TrackingService } from './types.js'

const MAX_POINTS = 25_000

export function createHistory({ sql: store }: TrackingContext): Pick<TrackingService, 'metricHistory'> {
  return {
    async metricHistory({ runId, key, maxResults, pageToken }) {
      if (!Number.isInteger(maxResults) || maxResults < 1 || maxResults > MAX_POINTS)
        throw TrackingErrors.VALUE_INVALID({
          what: 'max_results',
          problem: `must be at least 1 and at most ${MAX_POINTS}, but ${maxResults} arrived`,
        })
      const db = store.db<TrackingTables>()
      const { number } = await runRow(db, runId)
      const [offset = 0] = pageToken ? readPageToken('history', pageToken, 1) : []
      const rows = await db
        .selectFrom('metric_points')
        .select(['timestamp_ms', 'step', 'value', 'is_nan', 'is_infinite'])
        .where('run', '=', number)
        .where('bucket', '=', bucketOf(key))
        .where('key', '=', key)
        // The table's own order: a page is one stretch of it.
        .orderBy(sql`timestamp_ms, step, value, is_nan, is_infinite`)
        .limit(maxResults + 1)
        .offset(offset)
        .execute()
      const items = rows.slice(0, maxResults).map((row) => ({
        key,
        value: fromStoredValue(row),
        timestampMs: row.timestamp_ms,
        step: row.step,
      }))
      return rows.length > maxResults
        ? { items, nextPageToken: writePageToken('history', [offset + maxResults]) }
        : { items }
    },
  }
}
