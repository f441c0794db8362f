// The live windows of other nodes. A node that is asked says so in the metadata store; the others look there every two seconds, write
// what they counted as long as somebody asks, and take it away again. Nobody asks: one small query every two seconds.
import { sql as raw } from 'kysely'
import type { Platform } from '../../core/index.js'
import type { Sql } from '../../store/index.js'
import { storeNowMs } from '../nodes/nodes-table.js'
import type { NodesService, NodeView } from '../nodes/service.js'
import type { EndpointCounts, EndpointDetails } from './counts.js'
import { type LiveTables, liveMigrations, type Subject } from './exchange-table.js'
import type { Reading } from './reading.js'
import type { MissingNode } from './types.js'

/** What a node says of a subject. */
export interface Report {
  /** Of this form; other releases of Headrace may have another. */
  readonly form: 1
  /** When the next one is due. */
  readonly everyMs: number
  readonly isCatchingUp: boolean
  readonly uncounted: number
  readonly endpoints: readonly (EndpointCounts | EndpointDetails)[]
}

export interface HeardReport {
  readonly node: NodeView
  readonly ageMs: number
  readonly report: Report
}

/** What is known of the other nodes. */
export interface Others {
  readonly isStoreAway: boolean
  readonly heard: readonly HeardReport[]
  readonly missing: readonly MissingNode[]
}

export interface Exchange {
  /** In at most a second; never rejects. */
  others(subject: Subject): Promise<Others>
  close(): Promise<void>
}

export interface ExchangeOptions {
  readonly platform: Pick<Platform, 'clock' | 'logger'>
  readonly sql: Sql
  readonly nodeId: string
  readonly nodes: Pick<NodesService, 'list'>
  readonly reading: Reading
}

export const LOOK_MS = 2_000
/** A question stands so long: pages ask every two to six seconds. */
const ASKED_MS = 20_000
/** What is looked at at once; of more, what was asked for last. */
const MAX_SUBJECTS = 40
/** What a node writes at most: larger reports are written less often. */
const BYTES_PER_MS = 50
/** A report is too old when the third one after it is due, and not before this. */
const OLD_MS = 10_000
/** Rows of nodes that were killed. */
const FORGOTTEN_MS = 60_000
/** What was asked a moment ago is not asked again. */
const FRESH_MS = 1_500
const PATIENCE_MS = 1_000
/** The traffic of a node that is gone is older than any figure by then. */
const GONE_FOR_GOOD_MS = 15 * 60_000

const NONE: Others = { isStoreAway: false, heard: [], missing: [] }
const AWAY: Others = { ...NONE, isStoreAway: true }

/** For a metadata store that nobody shares. */
export const noExchange: Exchange = { others: async () => NONE, close: async () => undefined }

interface Asked {
  atMs: number
  last: Others | undefined
  running: Promise<Others> | undefined
}

interface Written {
  readonly subject: Subject
  /** When the next report is due, on the monotonic clock. */
  dueMs: number
}

export async function openExchange(options: ExchangeOptions): Promise<Exchange> {
  const { platform, sql, nodeId, nodes, reading } = options
  const { clock, logger } = platform
  await sql.migrate('live', liveMigrations)
  const db = () => sql.db<LiveTables>()
  const storeNow = () => storeNowMs(sql, clock)
  const asked = new Map<string, Asked>()
  const written = new Map<string, Written>()
  let isClosed = false
  let sweptMs = Number.NEGATIVE_INFINITY
  let last: Promise<void> = Promise.resolve()
  let timer = clock.after(LOOK_MS, tick)

  function tick(): void {
    last = answer()
      .catch((error: unknown) => logger.debug({ err: error }, 'live figures could not be told to other nodes'))
      .finally(() => {
        if (!isClosed) timer = clock.after(LOOK_MS, tick)
      })
  }

  /** Writes what other nodes ask for. */
  async function answer(): Promise<void> {
    const wanted = await db()
      .selectFrom('live_asked')
      .select(['tenant', 'endpoint', raw<number>`max(asked_ms)`.as('newest')])
      .where('node', '!=', nodeId)
      .where((eb) => eb('asked_ms', '>', eb(storeNow(), '-', ASKED_MS)))
      .groupBy(['tenant', 'endpoint'])
      .orderBy('newest', 'desc')
      .limit(MAX_SUBJECTS)
      .execute()
    const keys = new Set(wanted.map(keyOf))
    for (const [key, { subject }] of written) {
      if (keys.has(key)) continue
      await ownRow(subject).execute()
      written.delete(key)
    }
    for (const subject of wanted) await write(subject)
    if (clock.monotonicMs() - sweptMs < FORGOTTEN_MS) return
    sweptMs = clock.monotonicMs()
    await db()
      .deleteFrom('live_asked')
      .where((eb) => eb('asked_ms', '<', eb(storeNow(), '-', FORGOTTEN_MS)))
      .execute()
    await db()
      .deleteFrom('live_reports')
      .where((eb) => eb('reported_ms', '<', eb(storeNow(), '-', FORGOTTEN_MS)))
      .execute()
  }

  async function write({ tenant, endpoint }: Subject): Promise<void> {
    const subject = { tenant, endpoint }
    const due = written.get(keyOf(subject))
    if (due !== undefined && due.dueMs > clock.monotonicMs()) return
    const counted =
      endpoint === ''
        ? await reading.overview(tenant)
        : await reading.endpoint(tenant, endpoint).then((one) => ({ ...one, endpoints: [one.endpoint], uncounted: 0 }))
    const { isCatchingUp, uncounted, endpoints } = counted
    const text = JSON.stringify(endpoints)
    const everyMs = Math.max(LOOK_MS, Math.ceil(text.length / BYTES_PER_MS))
    const said = {
      reported_ms: storeNow(),
      state: `${JSON.stringify({ form: 1, everyMs, isCatchingUp, uncounted } satisfies Omit<Report, 'endpoints'>).slice(0, -1)},"endpoints":${text}}`,
    }
    await db()
      .insertInto('live_reports')
      .values({ node: nodeId, ...subject, ...said })
      .onConflict((on) => on.columns(['node', 'tenant', 'endpoint']).doUpdateSet(said))
      .execute()
    // The look after the next may be a moment early.
    written.set(keyOf(subject), { subject, dueMs: clock.monotonicMs() + everyMs - LOOK_MS / 2 })
  }

  function ownRow({ tenant, endpoint }: Subject) {
    return db()
      .deleteFrom('live_reports')
      .where('node', '=', nodeId)
      .where('tenant', '=', tenant)
      .where('endpoint', '=', endpoint)
  }

  async function look({ tenant, endpoint }: Subject): Promise<Others> {
    const others = (await nodes.list()).filter(
      ({ isSelf, isGone, reportedAgoMs }) => !isSelf && !(isGone && reportedAgoMs > GONE_FOR_GOOD_MS),
    )
    if (others.length === 0) return NONE
    const said = { asked_ms: storeNow() }
    await db()
      .insertInto('live_asked')
      .values({ node: nodeId, tenant, endpoint, ...said })
      .onConflict((on) => on.columns(['node', 'tenant', 'endpoint']).doUpdateSet(said))
      .execute()
    const rows = await db()
      .selectFrom('live_reports')
      .select(['node', 'reported_ms', 'state'])
      .select(storeNow().as('now_ms'))
      .where('tenant', '=', tenant)
      .where('endpoint', '=', endpoint)
      .execute()
    const byNode = new Map(rows.map((row) => [row.node, row]))
    const heard: HeardReport[] = []
    const missing: MissingNode[] = []
    for (const node of others) {
      const row = byNode.get(node.id)
      const report = row && (JSON.parse(row.state) as Report)
      const ageMs = row ? Math.max(0, row.now_ms - row.reported_ms) : 0
      const reason = whyMissing(node, report, ageMs)
      if (reason === undefined) heard.push({ node, ageMs, report: report! })
      else missing.push({ id: node.id, name: node.name, url: node.url, reason })
    }
    return { isStoreAway: false, heard, missing }
  }

  async function others(subject: Subject): Promise<Others> {
    const key = keyOf(subject)
    const nowMs = clock.monotonicMs()
    const known = asked.get(key) ?? { atMs: Number.NEGATIVE_INFINITY, last: undefined, running: undefined }
    asked.set(key, known)
    if (known.running === undefined) {
      const ageMs = nowMs - known.atMs
      if (ageMs < FRESH_MS && known.last !== undefined) return grown(known.last, ageMs)
      for (const [other, { atMs, running }] of asked)
        if (running === undefined && other !== key && nowMs - atMs > FORGOTTEN_MS) asked.delete(other)
      known.running = look(subject)
        .catch((error: unknown) => {
          logger.debug({ err: error }, 'live figures of other nodes could not be read')
          return AWAY
        })
        .then((found) => {
          known.last = found
          known.atMs = clock.monotonicMs()
          known.running = undefined
          return found
        })
    }
    const { running } = known
    return new Promise<Others>((resolve) => {
      const giveUp = clock.after(PATIENCE_MS, () => {
        const ageMs = clock.monotonicMs() - known.atMs
        resolve(known.last !== undefined && ageMs < OLD_MS ? grown(known.last, ageMs) : AWAY)
      })
      void running.then((found) => {
        giveUp.cancel()
        resolve(found)
      })
    })
  }

  return {
    others,
    async close() {
      isClosed = true
      timer.cancel()
      await last
      if (written.size === 0 && asked.size === 0) return
      await db()
        .deleteFrom('live_reports')
        .where('node', '=', nodeId)
        .execute()
        .then(() => db().deleteFrom('live_asked').where('node', '=', nodeId).execute())
        .catch(() => undefined)
    },
  }
}

function whyMissing(node: NodeView, report: Report | undefined, ageMs: number): string | undefined {
  const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`
  if (node.isGone) return `it has not reported for ${seconds(node.reportedAgoMs)}: it was killed, or is cut off`
  if (report === undefined) return 'it has not said anything yet'
  if (report.form !== 1) return `it runs another version of Headrace: ${node.version}`
  if (ageMs > Math.max(OLD_MS, 3 * report.everyMs)) return `what it said last is ${seconds(ageMs)} old`
  return undefined
}

function grown(others: Others, byMs: number): Others {
  return { ...others, heard: others.heard.map((one) => ({ ...one, ageMs: one.ageMs + byMs })) }
}

function keyOf({ tenant, endpoint }: Subject): string {
  return `${tenant}\n${endpoint}`
}
