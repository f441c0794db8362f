import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { predictions } from '../../test/support/release-nodes.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { createPlatform, ManualClock } from '../core/index.js'
import type { StoredRecord } from '../log/index.js'
import { openSql, type Sql } from '../store/index.js'
import { readUnits } from './evidence.js'
import { guardsSection } from './guards/settings.js'
import { parsePlan } from './plan.js'
import { EVIDENCE_KEPT_MS, pruneEvidence, readEvidence } from './retention.js'
import { findRow, fromRow, type ReleaseTables, releaseMigrations } from './tables.js'
import { ReleaseWatcher } from './watcher.js'

const clock = new ManualClock()
const platform = createPlatform({ clock })
let sql: Sql
beforeEach(async () => {
  sql = await openSql({ file: join(tempFolder(), 'metadata.db'), platform })
  await sql.migrate('releases', releaseMigrations)
  await sql
    .db<ReleaseTables>()
    .insertInto('releases')
    .values({
      ...{ id: 'r1', endpoint: 'shop', active_endpoint: 'shop', model: 'fraud', from_version: 1, to_version: 2 },
      ...{ selector: '1', alias: null, plan: JSON.stringify(parsePlan('20%/9000u,100%')), state: 'running', step: 0 },
      ...{
        revision: 1,
        step_elapsed_ms: 0,
        min_units: 100,
        time_scale: 1,
        guards: JSON.stringify(guardsSection.parse({})),
      },
      ...{ thresholds: null, shadow: null, started_ms: 0, ended_ms: null, reason: null, final: null },
      started_by: JSON.stringify({ kind: 'person', name: 'anna' }),
    })
    .execute()
})
afterEach(() => sql.close())

async function watch(node: string) {
  const row = (await findRow(sql.db<ReleaseTables>(), 'r1'))!
  let give: (records: StoredRecord[]) => Promise<void> = async () => undefined
  let seq = 0
  const failed: string[] = []
  const watcher = await ReleaseWatcher.open({
    ...{
      sql,
      clock: platform.clock,
      logger: platform.logger,
      node,
      run: node,
      startAt: 0,
      minUnits: 100,
      exactUnits: 1_000,
    },
    release: fromRow(row),
    settings: guardsSection.parse({}),
    thresholds: undefined,
    subscribe: (_, batch) => {
      give = batch
      return () => undefined
    },
    onFailed: ({ guard }) => failed.push(guard),
  })
  return {
    watcher,
    failed,
    /** Read, and not stored yet. */
    async read(records: readonly StoredRecord[]) {
      await give(records.map((record) => ({ ...record, seq: ++seq })))
      clock.advance(JUDGED_WITHIN_MS)
    },
    async log(records: readonly StoredRecord[]) {
      await give(records.map((record) => ({ ...record, seq: ++seq })))
      await watcher.flush()
    },
  }
}

/** Long enough for the timer that judges and stores; and for the store to be given up on, the second time. */
const JUDGED_WITHIN_MS = 300

const units = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `unit-${from + i}`)
const candidates = async () =>
  (await readUnits(sql.db<ReleaseTables>(), 'r1')).find(({ arm }) => arm === 'candidate')?.units
const rows = async (table: 'release_units' | 'release_events' | 'release_sketches' | 'release_positions') =>
  (await sql.db<ReleaseTables>().selectFrom(table).selectAll().execute()).length

describe('units of a step', () => {
  it('are counted exactly, then within a few per cent in a fixed space, over nodes and restarts', async () => {
    const one = await watch('one')
    const two = await watch('two')
    await one.log(predictions(units(0, 600), 'candidate', 0.2))
    await two.log(predictions(units(300, 900), 'candidate', 0.2))
    expect(await candidates()).toBe(900)
    await one.log(predictions(units(900, 2_000), 'candidate', 0.2))
    await one.log(predictions(units(2_000, 6_000), 'candidate', 0.2))
    await two.watcher.refresh()
    await two.log(predictions(units(4_000, 8_000), 'candidate', 0.2))
    const again = await watch('one')
    await again.log(predictions(units(7_000, 10_000), 'candidate', 0.2))
    await again.log(predictions(units(0, 3_000), 'candidate', 0.2))
    const counted = (await candidates())!
    expect(Math.abs(counted / 10_000 - 1)).toBeLessThan(0.06)
    expect(again.watcher.units.find(({ arm }) => arm === 'candidate')!.units).toBe(counted)
    expect(await rows('release_units')).toBeLessThan(3_000)
    expect(await rows('release_sketches')).toBe(2)
  })
})

describe('evidence', () => {
  it('counts a unit once that asked several nodes, also before all have stored it', async () => {
    const one = await watch('one')
    const two = await watch('two')
    const broken = predictions(units(0, 4), 'candidate', 0.2, 'MODEL_FAILED')
    await one.log(broken)
    await two.watcher.refresh()
    await two.read(broken)
    await two.watcher.flush()
    expect([...one.failed, ...two.failed]).toEqual([])
    expect(two.watcher.reports.find(({ guard }) => guard === 'errors')).toMatchObject({ candidate: 4 })
    // One more unit decides: what is not stored is asked of the store, and found to be new.
    await two.read(predictions(units(4, 6), 'candidate', 0.2, 'MODEL_FAILED'))
    await expect.poll(() => two.failed, { timeout: 60_000 }).toContain('errors')
  })

  it('is known after a restart, so that the same units say nothing new', async () => {
    await (await watch('one')).log(predictions(units(0, 4), 'candidate', 0.2, 'MODEL_FAILED'))
    const again = await watch('one')
    await again.read(predictions(units(0, 4), 'candidate', 0.2, 'MODEL_FAILED'))
    expect(again.watcher.reports.find(({ guard }) => guard === 'errors')).toMatchObject({ candidate: 4 })
    expect(again.failed).toEqual([])
  })

  it('is acted on without the store when that does not answer', async () => {
    const { watcher, failed, read } = await watch('one')
    const transaction = vi.spyOn(sql, 'transaction').mockReturnValue(new Promise(() => undefined))
    await read(predictions(units(0, 20), 'candidate', 0.2, 'MODEL_FAILED'))
    expect(failed).toEqual([])
    clock.advance(JUDGED_WITHIN_MS)
    expect(failed).toContain('errors')
    transaction.mockRestore()
    void watcher.stop()
  })

  it('is deleted a while after its release is over, and what it came to stays', async () => {
    const { log } = await watch('one')
    await log(predictions(units(0, 300), 'candidate', 0.2, 'MODEL_FAILED'))
    const db = sql.db<ReleaseTables>()
    const before = await readEvidence(db, (await findRow(db, 'r1'))!)
    expect(before.reports.find(({ guard }) => guard === 'errors')).toMatchObject({ verdict: 'failed', candidate: 300 })
    expect(await pruneEvidence(sql, 10 * EVIDENCE_KEPT_MS)).toBe(0)
    await db.updateTable('releases').set({ active_endpoint: null, state: 'rolled-back', ended_ms: 5 }).execute()
    expect(await pruneEvidence(sql, EVIDENCE_KEPT_MS)).toBe(0)
    expect(await rows('release_events')).toBeGreaterThan(300)
    expect(await pruneEvidence(sql, EVIDENCE_KEPT_MS + 6)).toBe(1)
    for (const table of ['release_events', 'release_units', 'release_positions'] as const)
      expect(await rows(table)).toBe(0)
    expect(await readEvidence(db, (await findRow(db, 'r1'))!)).toEqual(before)
    expect(await pruneEvidence(sql, EVIDENCE_KEPT_MS + 7)).toBe(0)
  })
})
