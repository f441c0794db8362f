// What is left of a release that has been over for a while: its guards' last reports and counts stay with its row, the evidence they
// were made of (a row for each unit) is deleted.
import type { Kysely, Transaction } from 'kysely'
import type { Clock, Logger, Stop, Timer } from '../core/index.js'
import type { Sql } from '../store/index.js'
import { readCounts, readUnits, type UnitCount } from './evidence.js'
import { guardCounts } from './guards/counts.js'
import { judge } from './guards/judge.js'
import type { GuardSettings } from './guards/settings.js'
import type { GuardReport } from './guards/types.js'
import { fromRow, type ReleaseRow, type ReleaseTables, thresholdsOf } from './tables.js'
import { unitsOf } from './watcher.js'

/** How long evidence is kept after a release is over. */
export const EVIDENCE_KEPT_MS = 30 * 86_400_000
const PRUNE_MS = 3_600_000
/** Not in the middle of a start. */
const FIRST_PRUNE_MS = 60_000

export interface ReleaseEvidence {
  readonly reports: readonly GuardReport[]
  readonly units: readonly UnitCount[]
}

const EVIDENCE = [
  'release_events',
  'release_units',
  'release_counts',
  'release_sketches',
  'release_positions',
  'release_looks',
  'release_nodes',
  'release_shadows',
] as const satisfies readonly (keyof ReleaseTables)[]

/** By the counts of all nodes, or by what was left of them. */
export async function readEvidence(db: Kysely<ReleaseTables>, row: ReleaseRow): Promise<ReleaseEvidence> {
  if (row.final !== null) return JSON.parse(row.final) as ReleaseEvidence
  const settings = JSON.parse(row.guards) as GuardSettings
  const counts = guardCounts(await readCounts(db, row.id), fromRow(row).plan.steps, settings, thresholdsOf(row))
  const units = await readUnits(db, row.id)
  const candidate = unitsOf(units, row.step, 'candidate')
  return { reports: judge(counts, settings, { units: { candidate, minUnits: row.min_units } }), units }
}

/** Returns how many releases it summed up. */
export async function pruneEvidence(sql: Sql, nowMs: number): Promise<number> {
  const db = sql.db<ReleaseTables>()
  const rows = await db
    .selectFrom('releases')
    .selectAll()
    .where('active_endpoint', 'is', null)
    .where('final', 'is', null)
    .where('ended_ms', '<', Math.round(nowMs - EVIDENCE_KEPT_MS))
    .execute()
  let pruned = 0
  for (const row of rows) {
    const final = JSON.stringify(await readEvidence(db, row))
    await sql.transaction(async (tx: Transaction<ReleaseTables>) => {
      // Another node may have done it, or an undone decision may have begun it again.
      const { numUpdatedRows } = await tx
        .updateTable('releases')
        .set({ final })
        .where('id', '=', row.id)
        .where('revision', '=', row.revision)
        .where('final', 'is', null)
        .executeTakeFirst()
      if (numUpdatedRows !== 1n) return
      for (const table of EVIDENCE) await tx.deleteFrom(table).where('release', '=', row.id).execute()
      pruned++
    })
  }
  return pruned
}

/** Now and then, until it is stopped. */
export function keepPruned(sql: Sql, clock: Clock, logger: Logger): Stop {
  let timer: Timer
  let isStopped = false
  const next = (delayMs: number) => {
    timer = clock.after(delayMs, () => {
      pruneEvidence(sql, clock.nowMs())
        .catch((error: unknown) => logger.warn({ err: error }, 'evidence of releases that are over was not deleted'))
        .finally(() => {
          if (!isStopped) next(PRUNE_MS)
        })
    })
  }
  next(FIRST_PRUNE_MS)
  return () => {
    isStopped = true
    timer.cancel()
  }
}
