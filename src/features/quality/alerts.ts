// Alerts: a gauge that stands while something is wrong, a line in the log when it begins and when it ends, and a list to look at.
import type { Platform } from '../../core/index.js'

export interface Alert {
  readonly alert: 'feature-consistency' | 'feature-expectation' | 'feature-schema'
  /** A feature service; "" for alerts about data. */
  readonly service: string
  /** A source or view; "" for alerts about a service. */
  readonly of: string
  readonly message: string
  readonly sinceMs: number
}

export interface Alerts {
  /** Again for one that stands: its message is replaced, its beginning kept. */
  raise(alert: Omit<Alert, 'sinceMs'>): void
  /** Does nothing when it does not stand. */
  clear(alert: Pick<Alert, 'alert' | 'service' | 'of'>): void
  /** Those that stand, the oldest first. */
  list(): readonly Alert[]
}

/** Metric ml_alert_active{alert,service,of}: 1 while an alert stands, 0 after. */
export function createAlerts({ clock, logger, metrics }: Platform): Alerts {
  const active = metrics.gauge({
    name: 'ml_alert_active',
    help: '1 while an alert stands',
    labels: ['alert', 'service', 'of'],
    together: 'max',
  })
  const standing = new Map<string, Alert>()
  const idOf = ({ alert, service, of }: Pick<Alert, 'alert' | 'service' | 'of'>) => JSON.stringify([alert, service, of])
  return {
    raise(alert) {
      const known = standing.get(idOf(alert))
      standing.set(idOf(alert), { ...alert, sinceMs: known?.sinceMs ?? clock.nowMs() })
      active.with(alert.alert, alert.service, alert.of).set(1)
      if (!known) logger.warn(alert, 'an alert was raised')
    },
    clear(alert) {
      const known = standing.get(idOf(alert))
      if (!known) return
      standing.delete(idOf(alert))
      active.with(alert.alert, alert.service, alert.of).set(0)
      logger.info({ ...alert, stoodMs: clock.nowMs() - known.sinceMs }, 'an alert is over')
    },
    list: () => [...standing.values()].sort((a, b) => a.sinceMs - b.sinceMs),
  }
}
