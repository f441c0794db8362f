// How well this node follows the metadata store, for alerts: an age that grows says that it is cut off, whatever the reason.
import type { ServiceContext } from '../service-context.js'

export interface NodeMetricsOptions {
  readonly context: Pick<ServiceContext, 'platform' | 'storeConfirmedMs'>
  /** The number of the last decision that has begun to take effect. */
  readonly decision: () => number
  /** Another server reports under the same id. */
  readonly isShared: () => boolean
}

export function addNodeMetrics({ context, decision, isShared }: NodeMetricsOptions): void {
  const { metrics, clock } = context.platform
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    metrics.computed({ name, help, type: 'gauge' }, () => {
      const value = read()
      return value === undefined ? [] : [{ labels: [], value }]
    })
  gauge(
    'headrace_node_store_age_seconds',
    'Seconds since the metadata store last confirmed what this node applies; missing until it has. Candidates stop at 3.',
    () => {
      const ageMs = clock.monotonicMs() - context.storeConfirmedMs()
      return Number.isFinite(ageMs) ? Math.max(0, ageMs) / 1_000 : undefined
    },
  )
  gauge('headrace_node_decision', 'Number of the last decision that has begun to take effect on this node.', decision)
  gauge(
    'headrace_node_id_shared',
    '1 while another server reports under the id of this node: its data folder was copied.',
    () => Number(isShared()),
  )
}
