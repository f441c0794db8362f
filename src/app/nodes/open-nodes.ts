// Writes this node's report into the metadata store and reads those of the others.
import { hostname } from 'node:os'
import process from 'node:process'
import { sql as raw } from 'kysely'
import type { Sql } from '../../store/index.js'
import { packageVersion } from '../package-version.js'
import type { ServiceContext } from '../service-context.js'
import { addNodeMetrics } from './node-metrics.js'
import { type NodeTables, nodeMigrations, storeNowMs } from './nodes-table.js'
import type { Reports } from './reports.js'
import type { NodeState, NodesService, NodeView } from './service.js'

const REPORT_MS = 1_000
/** A report that says nothing new is written so often all the same. */
const SIGN_OF_LIFE_MS = 5_000
/** A node that has not reported for this long is said to be gone. */
const GONE_MS = 15_000
/** Two nodes of one id overwrite each other's report with every sign of life. */
const SHARED_MS = 4 * SIGN_OF_LIFE_MS
const FORGOTTEN_MS = 7 * 86_400_000

export interface OpenNodesOptions {
  readonly context: ServiceContext
  readonly reports: Reports
  /** The number of the last decision that has begun to take effect. */
  readonly decision: () => number
}

export async function openNodes({ context, reports, decision }: OpenNodesOptions): Promise<NodesService> {
  const { platform, sql, nodeId } = context
  const { clock, logger } = platform
  await sql.migrate('nodes', nodeMigrations)
  const openedMs = clock.monotonicMs()
  /** Of this run of the server: when the node's row is of another, a second node has the same id. */
  const session = platform.ids.next()
  let sharedMs = Number.NEGATIVE_INFINITY
  let written = ''
  let writtenMs = Number.NEGATIVE_INFINITY
  let isFirst = true
  let isClosed = false
  let last: Promise<void> = Promise.resolve()
  let timer = clock.after(0, tick)

  function tick(): void {
    last = report()
      .catch((error: unknown) => logger.debug({ err: error }, 'this node could not report itself'))
      .finally(() => {
        if (!isClosed) timer = clock.after(REPORT_MS, tick)
      })
  }

  async function report(): Promise<void> {
    const state = JSON.stringify({ decision: decision(), processes: reports.all(process.pid) } satisfies NodeState)
    if (state === written && clock.monotonicMs() - writtenMs < SIGN_OF_LIFE_MS) return
    if (!isFirst) await lookForOther()
    const now = storeNowMs(sql, clock)
    const said = {
      name: hostname(),
      version: packageVersion,
      started_ms: raw<number>`${now} - ${Math.round(clock.monotonicMs() - openedMs)}`,
      reported_ms: now,
      state: `{"session":${JSON.stringify(session)},${state.slice(1)}`,
    }
    await db(sql)
      .insertInto('nodes')
      .values({ id: nodeId, ...said })
      .onConflict((on) => on.column('id').doUpdateSet(said))
      .execute()
    written = state
    writtenMs = clock.monotonicMs()
    if (!isFirst) return
    isFirst = false
    await db(sql)
      .deleteFrom('nodes')
      .where((eb) => eb('reported_ms', '<', eb(now, '-', FORGOTTEN_MS)))
      .execute()
  }

  /** A data folder that was copied brings its id along: what is kept by node would then be of two. */
  async function lookForOther(): Promise<void> {
    const row = await db(sql).selectFrom('nodes').select(['name', 'state']).where('id', '=', nodeId).executeTakeFirst()
    if (row === undefined) return
    const state = JSON.parse(row.state) as StoredState
    if (state.session === undefined || state.session === session) return
    if (!isShared())
      logger.error(
        { node: nodeId, other: row.name, url: urlOf(state) },
        'another server has the id of this node: its data folder was copied. Stop one of the two, remove the file node-id from its data folder, and start it again',
      )
    sharedMs = clock.monotonicMs()
  }

  const isShared = () => clock.monotonicMs() - sharedMs < SHARED_MS
  addNodeMetrics({ context, decision, isShared })

  context.onClose(async () => {
    isClosed = true
    timer.cancel()
    await last
    // One that stops on purpose is not looked for.
    await db(sql)
      .deleteFrom('nodes')
      .where('id', '=', nodeId)
      .execute()
      .catch(() => undefined)
  })

  return {
    async list() {
      const rows = await db(sql)
        .selectFrom('nodes')
        .selectAll()
        .select(storeNowMs(sql, clock).as('now_ms'))
        .orderBy('id')
        .execute()
      return rows.map((row): NodeView => {
        const { session: _, ...state } = JSON.parse(row.state) as StoredState
        const reportedAgoMs = Math.max(0, row.now_ms - row.reported_ms)
        return {
          id: row.id,
          name: row.name,
          url: urlOf(state),
          version: row.version,
          isSelf: row.id === nodeId,
          isGone: reportedAgoMs > GONE_MS,
          startedMs: row.started_ms,
          reportedAgoMs,
          ...state,
        }
      })
    },
  }
}

/** `session` is missing in what earlier releases wrote. */
type StoredState = NodeState & { readonly session?: string }

function urlOf({ processes }: NodeState): string | null {
  const url = processes.map(({ parts }) => parts['url']).find((one) => typeof one === 'string')
  return url === undefined ? null : (url as string)
}

function db(sql: Sql) {
  return sql.db<NodeTables>()
}
