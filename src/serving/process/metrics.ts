// What is counted of processes with models, by group. Several instances of a group are counted together.
import type { Metrics } from '../../core/index.js'

export interface GroupMetrics {
  restarted(): void
  /** Every process of the group is there. */
  up(isUp: boolean): void
  rss(bytes: number): void
}

export interface ProcessMetrics {
  bind(group: string): GroupMetrics
  forget(group: string): void
}

export function createProcessMetrics(metrics: Metrics): ProcessMetrics {
  const labels = ['group'] as const
  const restarts = metrics.counter({
    name: 'ml_process_restarts_total',
    help: 'Processes with models that ended and were started again.',
    labels,
  })
  const up = metrics.gauge({
    name: 'ml_process_up',
    help: '1 when every process of a group of models runs, 0 while one is started again.',
    labels,
    together: 'min',
  })
  const rss = metrics.gauge({
    name: 'ml_process_rss_bytes',
    help: 'Resident memory of the processes of a group of models.',
    labels,
  })
  return {
    bind(group) {
      const restarted = restarts.with(group)
      const isUp = up.with(group)
      const bytes = rss.with(group)
      isUp.set(0)
      return { restarted: () => restarted.inc(), up: (now) => isUp.set(now ? 1 : 0), rss: (now) => bytes.set(now) }
    },
    forget(group) {
      for (const family of [restarts, up, rss]) family.remove(group)
    },
  }
}
