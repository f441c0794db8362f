// What is counted of processes with models, by group. Several instances of a group are counted together.
import type { Metrics, VersionRef } from '../../core/index.js'

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

export interface MoveMetrics {
  moved(ref: VersionRef): void
  /** A thread was left to a run that hangs; call what it returns when the run has ended. */
  leftBehind(): () => void
}

export function createMoveMetrics(metrics: Metrics): MoveMetrics {
  const moves = metrics.counter({
    name: 'ml_moved_to_process_total',
    help: 'Versions that were moved from a thread to a process of their own because their runs hang.',
    labels: ['model', 'version'],
  })
  const hanging = metrics
    .gauge({ name: 'ml_hung_threads', help: 'Threads that were left to runs that hang, until those end.' })
    .with()
  let threads = 0
  return {
    moved: ({ model, version }) => moves.with(model, String(version)).inc(),
    leftBehind() {
      hanging.set(++threads)
      return () => hanging.set(--threads)
    },
  }
}
