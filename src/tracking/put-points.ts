// Writes the points of metrics, a thousand at a time. SQLite gets them as one JSON text: binding eight parameters a point and preparing a
// statement of so many took more than twice the CPU (18 ms a batch of 1,000 keys; 8 ms as JSON, 2026-11-23).
import { type RawBuilder, sql } from 'kysely'
import type { Sql } from '../store/index.js'
import { exactWhole } from './exact-whole.js'
import type { RunRow } from './search/search-runs.js'
import type { Tx } from './store.js'
import type { TrackingTables } from './tables.js'
import type { Int64 } from './types.js'

export type Point = Omit<TrackingTables['metric_points'], 'run'>

/** A point that is there already stays as it is. */
export async function putPoints(tx: Tx, dialect: Sql['dialect'], run: RunRow, points: readonly Point[]): Promise<void> {
  const { json, others } = dialect === 'sqlite' ? toJson(points) : { json: undefined, others: points }
  if (json !== undefined)
    await sql`
      with ${batch(json)}
      insert into metric_points (run, bucket, key, timestamp_ms, step, value, is_nan, is_infinite)
      select ${run.number}, bucket, p.key, timestamp_ms, step, ${VALUE}, 0, 0 from batch, json_each(batch.points) p
      where true on conflict do nothing`.execute(tx)
  if (others.length > 0)
    await tx
      .insertInto('metric_points')
      .values(others.map((point) => ({ run: run.number, ...point })))
      .onConflict((conflict) => conflict.doNothing())
      .execute()
}

/** Of each key one point. An earlier one than what is there changes nothing. */
export async function putLatest(tx: Tx, dialect: Sql['dialect'], run: RunRow, points: readonly Point[]): Promise<void> {
  const { json, others } = dialect === 'sqlite' ? toJson(points) : { json: undefined, others: points }
  if (json !== undefined)
    await sql`
      with ${batch(json)}
      insert into latest_metrics (run, key, experiment, value, is_nan, is_infinite, timestamp_ms, step)
      select ${run.number}, p.key, ${run.experiment}, ${VALUE}, 0, 0, timestamp_ms, step from batch, json_each(batch.points) p
      where true on conflict (run, key) do update set value = excluded.value, is_nan = 0, is_infinite = 0,
        timestamp_ms = excluded.timestamp_ms, step = excluded.step where ${IS_LATER}`.execute(tx)
  if (others.length > 0)
    await tx
      .insertInto('latest_metrics')
      .values(others.map(({ bucket, ...point }) => ({ run: run.number, experiment: run.experiment, ...point })))
      .onConflict((conflict) =>
        conflict
          .columns(['run', 'key'])
          .doUpdateSet(({ ref }) => ({
            value: ref('excluded.value'),
            is_nan: ref('excluded.is_nan'),
            is_infinite: ref('excluded.is_infinite'),
            timestamp_ms: ref('excluded.timestamp_ms'),
            step: ref('excluded.step'),
          }))
          .where(IS_LATER),
      )
      .execute()
}

const IS_LATER = sql<boolean>`(excluded.step, excluded.timestamp_ms, excluded.value) >= (latest_metrics.step, latest_metrics.timestamp_ms, latest_metrics.value)`

/** What `exactWhole` made: each factor, and so each step, is exact. 62 is as far as a shift stays a positive whole number. */
const VALUE = sql`p.value / 1000 * 1.0 / (1 << min(abs(p.value % 1000), 62)) / (1 << max(abs(p.value % 1000) - 62, 0))`

/** Materialized, so that each group is read once and not for each of its points. */
function batch(json: string): RawBuilder<unknown> {
  return sql`batch as materialized (
    select value ->> 0 as bucket, value ->> 1 as timestamp_ms, value ->> 2 as step, value -> 3 as points from json_each(${json}))`
}

/** `[[bucket, timestamp, step, {key: value, …}], …]`: points that were measured together share what they have in common. */
function toJson(points: readonly Point[]): { json: string | undefined; others: readonly Point[] } {
  const groups = new Map<string, string[]>()
  const others: Point[] = []
  for (let i = 0; i < points.length; i++) {
    const point = points[i]!
    const whole = point.is_nan === 1 || point.is_infinite === 1 ? undefined : exactWhole(point.value)
    if (whole === undefined) {
      others.push(point)
      continue
    }
    const common = commonOf(point.bucket, point.timestamp_ms, point.step)
    const members = groups.get(common)
    // The text is made by hand, because a key may be there twice and a time may have 64 bits.
    const member = `${JSON.stringify(point.key)}:${whole}`
    if (members === undefined) groups.set(common, [member])
    else members.push(member)
  }
  if (groups.size === 0) return { json: undefined, others }
  const texts: string[] = []
  for (const [common, members] of groups) texts.push(`[${common},{${members.join()}}]`)
  return { json: `[${texts.join()}]`, others }
}

function commonOf(bucket: number, timestampMs: Int64, step: Int64): string {
  return `${bucket},${timestampMs},${step}`
}
