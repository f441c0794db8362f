// What happens now: the live window of this node, and the sum with those of the other nodes of one metadata store.
import { hostname } from 'node:os'
import type { Platform } from '../../core/index.js'
import type { Sql } from '../../store/index.js'
import { AppErrors } from '../errors.js'
import type { NodesService } from '../nodes/service.js'
import { type EndpointCounts, type EndpointDetails, moved, sumDetails, sumEndpoints } from './counts.js'
import { type Exchange, type HeardReport, noExchange, type Others, openExchange } from './exchange.js'
import { BUCKET_MS, BUCKETS_A_STEP, seriesStart } from './live-window.js'
import { openReading, type ReadingOptions } from './reading.js'
import type { LiveEndpoint, LiveNode, LiveNodes, LiveOverview } from './types.js'

export interface LiveQuestion {
  /** Only the records of this one. */
  readonly tenant?: string | undefined
  /** Only the traffic of the node of this id; `self` is the one that answers. */
  readonly node?: string | undefined
}

export interface LiveService {
  /** Every endpoint with traffic in the last quarter of an hour. Throws APP_NODE_NOT_FOUND, APP_LIVE_BUSY. */
  overview(question?: LiveQuestion): Promise<LiveOverview>
  endpoint(name: string, question?: LiveQuestion): Promise<LiveEndpoint>
}

export interface LiveOptions extends ReadingOptions {
  readonly platform: Pick<Platform, 'clock' | 'logger'>
  readonly nodeId: string
  /** What the nodes share; undefined when the metadata store is this node's own. */
  readonly shared: { readonly sql: Sql; readonly nodes: Pick<NodesService, 'list'> } | undefined
  onClose(close: () => Promise<void>): void
}

const SELF = 'self'
/** Of a history of half minutes. */
const STEP_MS = BUCKET_MS * BUCKETS_A_STEP

export async function openLive(options: LiveOptions): Promise<LiveService> {
  const { platform, nodeId, shared, onClose } = options
  const reading = openReading(options)
  const exchange: Exchange =
    shared === undefined ? noExchange : await openExchange({ platform, nodeId, reading, ...shared })
  onClose(async () => {
    reading.close()
    await exchange.close()
  })
  const self: LiveNode = { id: nodeId, name: hostname(), url: null, isSelf: true, ageMs: 0 }

  interface Asked {
    /** What this node counted is among it. */
    readonly own: boolean
    readonly nodes: LiveNodes
    readonly heard: readonly HeardReport[]
  }

  async function ask(endpoint: string, { tenant = '', node }: LiveQuestion): Promise<Asked> {
    if (node === SELF || node === self.id)
      return { own: true, heard: [], nodes: { counted: [self], missing: [], isStoreAway: false } }
    const all = await exchange.others({ tenant, endpoint })
    const { heard, missing, isStoreAway } = node === undefined ? all : only(node, all)
    const counted = heard.map(
      ({ node: { id, name, url }, ageMs }): LiveNode => ({ id, name, url, isSelf: false, ageMs }),
    )
    const own = node === undefined
    return { own, heard, nodes: { counted: own ? [self, ...counted] : counted, missing, isStoreAway } }
  }

  return {
    async overview(question = {}) {
      const [own, asked] = await Promise.all([reading.overview(question.tenant ?? ''), ask('', question)])
      const { heard, nodes } = asked
      const windows = heard.map(({ ageMs, report }) => report.endpoints.map((one) => aged(one, ageMs)))
      const reports = heard.map(({ report }) => report)
      return {
        nodes,
        nowMs: own.nowMs,
        sinceMs: own.sinceMs,
        isCatchingUp: (asked.own && own.isCatchingUp) || reports.some(({ isCatchingUp }) => isCatchingUp),
        endpoints: sumEndpoints(asked.own ? [own.endpoints, ...windows] : windows),
        uncounted: Math.max(asked.own ? own.uncounted : 0, ...reports.map(({ uncounted }) => uncounted)),
      }
    },
    async endpoint(name, question = {}) {
      const [own, asked] = await Promise.all([reading.endpoint(question.tenant ?? '', name), ask(name, question)])
      const { heard, nodes } = asked
      const parts = heard.flatMap(({ ageMs, report }) =>
        report.endpoints.flatMap((one) => (isDetailed(one) ? agedDetails(one, ageMs) : [])),
      )
      return {
        nodes,
        nowMs: own.nowMs,
        sinceMs: own.sinceMs,
        isCatchingUp: (asked.own && own.isCatchingUp) || heard.some(({ report }) => report.isCatchingUp),
        ...sumDetails(name, asked.own ? [own.endpoint, ...parts] : parts, {
          startMs: seriesStart(own.nowMs),
          bucketMs: BUCKET_MS,
        }),
      }
    },
  }
}

/** Throws APP_NODE_NOT_FOUND. */
function only(node: string, { heard, missing, isStoreAway }: Others): Others {
  const found = {
    isStoreAway,
    heard: heard.filter((one) => one.node.id === node),
    missing: missing.filter(({ id }) => id === node),
  }
  if (found.heard.length === 0 && found.missing.length === 0 && !isStoreAway)
    throw AppErrors.NODE_NOT_FOUND({ node: node.slice(0, 128) })
  return found
}

function isDetailed(counts: EndpointCounts | EndpointDetails): counts is EndpointDetails {
  return 'buckets' in counts
}

function aged(counts: EndpointCounts, ageMs: number): EndpointCounts {
  return { ...counts, history: moved(counts.history, Math.round(ageMs / STEP_MS), null) }
}

function agedDetails(counts: EndpointDetails, ageMs: number): EndpointDetails {
  const places = Math.round(ageMs / BUCKET_MS)
  return {
    ...counts,
    history: moved(counts.history, Math.round(ageMs / STEP_MS), null),
    buckets: moved(counts.buckets, places, null),
    firstBucket: Math.max(0, counts.firstBucket - places),
  }
}
