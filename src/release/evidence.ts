// What a release's guards know, as rows: first events of units and units seen, written with the position of the log they were read up to,
// so that a node that is killed neither loses nor repeats any.
import { type Kysely, sql as raw, type Transaction } from 'kysely'
import { HyperLogLog } from '../stats/index.js'
import type { Sql } from '../store/index.js'
import type { ShadowState } from './guards/shadow-types.js'
import type { ArmCount, GuardArm, GuardEvent, GuardReport } from './guards/types.js'
import type { GuardPoint } from './service.js'
import type { ReleaseTables } from './tables.js'

/** A unit that an arm served (or, in a shadow step, that the candidate was shown). */
export interface SeenUnit {
  readonly step: number
  readonly arm: GuardArm
  /** 16 hex digits, as in GuardEvent. */
  readonly unit: string
}

export interface UnitCount {
  readonly step: number
  readonly arm: string
  readonly units: number
}

/** A standard error of 1.6 %, in 4 KiB. */
const SKETCH_PRECISION = 12
const SEED_ROWS = 5_000

export interface UnitSketch {
  readonly step: number
  readonly arm: GuardArm
  readonly sketch: HyperLogLog
}

const ROWS = 200
/** What `release_counts` calls units that were seen: no guard has this name. */
const SEEN = ''
/** Points of one guard that are kept; beyond it every other one goes. */
const MAX_POINTS = 200

type Db = Kysely<ReleaseTables>
type FreshCount = { guard: string; step: number; arm: string; units: number }

export async function writeEvidence(
  sql: Sql,
  of: { readonly release: string; readonly node: string; readonly position: number },
  events: readonly GuardEvent[],
  units: readonly SeenUnit[],
  sketches: readonly UnitSketch[] = [],
  shadow?: { readonly run: string; readonly state: ShadowState },
): Promise<void> {
  const { release, node, position } = of
  // In one order on every node: two that write the same units in two orders would wait for each other.
  const sortedEvents = [...events].sort((a, b) => compare(a.guard, b.guard) || compare(a.unit, b.unit))
  const sortedUnits = [...units].sort((a, b) => a.step - b.step || compare(a.arm, b.arm) || compare(a.unit, b.unit))
  await sql.transaction(async (tx: Transaction<ReleaseTables>) => {
    const fresh = new Map<string, FreshCount>()
    for (let i = 0; i < sortedEvents.length; i += ROWS) {
      const rows = sortedEvents.slice(i, i + ROWS)
      const stored = await tx
        .insertInto('release_events')
        .values(rows.map(({ guard, unit, arm, step }) => ({ release, guard, unit, arm, step })))
        .onConflict((conflict) => conflict.columns(['release', 'guard', 'unit']).doNothing())
        .returning(['guard', 'step', 'arm'])
        .execute()
      for (const { guard, step, arm } of stored) countOne(fresh, guard, step, arm)
    }
    for (let i = 0; i < sortedUnits.length; i += ROWS) {
      const stored = await tx
        .insertInto('release_units')
        .values(sortedUnits.slice(i, i + ROWS).map(({ step, arm, unit }) => ({ release, step, arm, unit })))
        .onConflict((conflict) => conflict.columns(['release', 'step', 'arm', 'unit']).doNothing())
        .returning(['step', 'arm'])
        .execute()
      for (const { step, arm } of stored) countOne(fresh, SEEN, step, arm)
    }
    if (fresh.size > 0)
      await tx
        .insertInto('release_counts')
        .values([...fresh.values()].map((count) => ({ release, node, ...count })))
        .onConflict((conflict) =>
          conflict
            .columns(['release', 'node', 'guard', 'step', 'arm'])
            .doUpdateSet({ units: raw<number>`release_counts.units + excluded.units` }),
        )
        .execute()
    for (const { step, arm, sketch: known } of sketches) {
      const sketch = Buffer.from(known.encode()).toString('base64')
      await tx
        .insertInto('release_sketches')
        .values({ release, step, arm, node, sketch })
        .onConflict((conflict) => conflict.columns(['release', 'step', 'arm', 'node']).doUpdateSet({ sketch }))
        .execute()
    }
    if (shadow !== undefined) {
      const state = JSON.stringify(shadow.state)
      await tx
        .insertInto('release_shadows')
        .values({ release, run: shadow.run, state })
        .onConflict((conflict) => conflict.columns(['release', 'run']).doUpdateSet({ state }))
        .execute()
    }
    await tx
      .insertInto('release_positions')
      .values({ release, node, position })
      .onConflict((conflict) => conflict.columns(['release', 'node']).doUpdateSet({ position }))
      .execute()
  })
}

export async function readPosition(db: Db, release: string, node: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('release_positions')
    .select('position')
    .where('release', '=', release)
    .where('node', '=', node)
    .executeTakeFirst()
  return row?.position
}

function countOne(counts: Map<string, FreshCount>, guard: string, step: number, arm: string): void {
  const key = `${guard} ${step} ${arm}`
  const count = counts.get(key)
  if (count) count.units++
  else counts.set(key, { guard, step, arm, units: 1 })
}

/** By code units, as no database's collation: every node has the same order, whatever it is. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Distinct units by guard, step and arm, of all nodes. */
export async function readCounts(db: Db, release: string): Promise<ArmCount[]> {
  const rows = await sumCounts(db, release).where('guard', '!=', SEEN).execute()
  return rows.map(({ guard, step, arm, units }) => ({ guard, step, arm: arm as GuardArm, units: Number(units) }))
}

/** What nodes have added up, each in rows of its own: as much work with a million units as with one. */
function sumCounts(db: Db, release: string) {
  return db
    .selectFrom('release_counts')
    .select(['guard', 'step', 'arm'])
    .select(raw<number>`sum(units)`.as('units'))
    .where('release', '=', release)
    .groupBy(['guard', 'step', 'arm'])
}

/** Visits at most so many of the events that are stored, in parts. */
export async function readEventKeys(
  db: Db,
  release: string,
  most: number,
  visit: (guard: string, unit: string) => void,
): Promise<void> {
  let last = { guard: '', unit: '' }
  for (let read = 0; read < most; read += SEED_ROWS) {
    const { guard, unit } = last
    const rows = await db
      .selectFrom('release_events')
      .select(['guard', 'unit'])
      .where('release', '=', release)
      .where(({ and, eb, or }) => or([eb('guard', '>', guard), and([eb('guard', '=', guard), eb('unit', '>', unit)])]))
      .orderBy('guard')
      .orderBy('unit')
      .limit(SEED_ROWS)
      .execute()
    for (const row of rows) visit(row.guard, row.unit)
    if (rows.length < SEED_ROWS) return
    last = rows.at(-1)!
  }
}

export async function readUnits(db: Db, release: string): Promise<UnitCount[]> {
  const rows = await sumCounts(db, release).where('guard', '=', SEEN).execute()
  const counts = rows.map(({ step, arm, units }) => ({ step, arm, units: Number(units) }))
  const merged = new Map<string, HyperLogLog>()
  for (const { step, arm, sketch } of await db
    .selectFrom('release_sketches')
    .selectAll()
    .where('release', '=', release)
    .execute()) {
    const all = merged.get(`${step} ${arm}`) ?? new HyperLogLog(SKETCH_PRECISION)
    all.merge(decoded(sketch))
    merged.set(`${step} ${arm}`, all)
  }
  return counts.map((count) => {
    const estimate = merged.get(`${count.step} ${count.arm}`)?.estimate() ?? 0
    return estimate > count.units ? { ...count, units: estimate } : count
  })
}

/** What a node added to its sketches, by step and arm. */
export async function readSketches(db: Db, release: string, node: string): Promise<UnitSketch[]> {
  const rows = await db
    .selectFrom('release_sketches')
    .selectAll()
    .where('release', '=', release)
    .where('node', '=', node)
    .execute()
  return rows.map(({ step, arm, sketch }) => ({ step, arm: arm as GuardArm, sketch: decoded(sketch) }))
}

/** A sketch of the units that are there as rows. */
export async function sketchRows(db: Db, release: string, step: number, arm: GuardArm): Promise<HyperLogLog> {
  const sketch = new HyperLogLog(SKETCH_PRECISION)
  for (let last = ''; ; ) {
    // In parts, so that neither the store nor the event loop is held up.
    const rows = await db
      .selectFrom('release_units')
      .select('unit')
      .where('release', '=', release)
      .where('step', '=', step)
      .where('arm', '=', arm)
      .where('unit', '>', last)
      .orderBy('unit')
      .limit(SEED_ROWS)
      .execute()
    for (const { unit } of rows) addUnit(sketch, unit)
    if (rows.length < SEED_ROWS) return sketch
    last = rows.at(-1)!.unit
  }
}

/** `unit` as in SeenUnit: a hash already. */
export function addUnit(sketch: HyperLogLog, unit: string): void {
  sketch.addHash(Number.parseInt(unit.slice(0, 8), 16), Number.parseInt(unit.slice(8), 16))
}

function decoded(sketch: string): HyperLogLog {
  return HyperLogLog.decode(Buffer.from(sketch, 'base64'), SKETCH_PRECISION) ?? new HyperLogLog(SKETCH_PRECISION)
}

/** Keeps a look at each guard, and thins what is there to half when it gets too much. */
export async function writeLooks(
  sql: Sql,
  release: string,
  timeMs: number,
  step: number,
  reports: readonly GuardReport[],
): Promise<void> {
  await sql.transaction(async (tx: Transaction<ReleaseTables>) => {
    for (const { guard, relative, eValue, candidate, reference } of reports) {
      const point: GuardPoint = {
        timeMs,
        step,
        estimate: relative?.estimate ?? null,
        low: relative?.low ?? null,
        high: relative?.high ?? null,
        eValue,
        candidate,
        reference,
      }
      await tx
        .insertInto('release_looks')
        .values({ release, guard, time_ms: timeMs, point: JSON.stringify(point) })
        .onConflict((conflict) => conflict.columns(['release', 'guard', 'time_ms']).doNothing())
        .execute()
    }
    const times = await tx
      .selectFrom('release_looks')
      .select('time_ms')
      .distinct()
      .where('release', '=', release)
      .orderBy('time_ms')
      .execute()
    if (times.length <= MAX_POINTS) return
    const surplus = times
      .filter((_, index) => index % 2 === 1 && index < times.length - 1)
      .map(({ time_ms }) => time_ms)
    await tx.deleteFrom('release_looks').where('release', '=', release).where('time_ms', 'in', surplus).execute()
  })
}

/** By guard, oldest first. */
export async function readLooks(db: Db, release: string): Promise<Map<string, GuardPoint[]>> {
  const rows = await db
    .selectFrom('release_looks')
    .select(['guard', 'point'])
    .where('release', '=', release)
    .orderBy('time_ms')
    .execute()
  const series = new Map<string, GuardPoint[]>()
  for (const { guard, point } of rows) {
    const points = series.get(guard) ?? []
    points.push(JSON.parse(point) as GuardPoint)
    series.set(guard, points)
  }
  return series
}
