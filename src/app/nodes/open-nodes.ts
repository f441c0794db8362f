// Writes this node's report into the metadata store and reads those of the others.
import { hostname } from 'node:os'
import process from 'node:process'
import type { Sql } from '../../store/index.js'
import { packageVersion } from '../package-version.js'
import type { ServiceContext } from '../service-context.js'
import { type NodeTables, nodeMigrations, storeNowMs } from './nodes-table.js'
import type { Reports } from './reports.js'
import type { NodeState, NodesService, NodeView } from './service.js'

const REPORT_MS = 1_000
/** A report that says nothing new is written so often all the same. */
const SIGN_OF_LIFE_MS = 5_000
/** A node that has not reported for this long is said to be gone. */
const GONE_MS = 15_000
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
  const startedMs = clock.nowMs()
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
    const now = storeNowMs(sql, clock)
    const said = { name: hostname(), version: packageVersion, reported_ms: now, state }
    await db(sql)
      .insertInto('nodes')
      .values({ id: nodeId, started_ms: startedMs, ...said })
      .onConflict((on) => on.column('id').doUpdateSet({ ...said, started_ms: startedMs }))
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
        const state = JSON.parse(row.state) as NodeState
        const reportedAgoMs = Math.max(0, row.now_ms - row.reported_ms)
        const url = state.processes.map(({ parts }) => parts['url']).find((one) => typeof one === 'string')
        return {
          id: row.id,
          name: row.name,
          url: url === undefined ? null : (url as string),
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

function db(sql: Sql) {
  return sql.db<NodeTables>()
}
