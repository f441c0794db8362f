// What was served, compared again and again: each report goes into metrics and, where it is not good enough, raises an alert.
import type { Platform, Stop } from '../../core/index.js'
import type { Alerts } from '../quality/alerts.js'
import { percent } from '../quality/phrases.js'
import type { VerifyReport } from './types.js'

export interface ConsistencyWatch {
  /** Takes a report in, whoever asked for it. */
  report(report: VerifyReport): void
  /** The last of each service. */
  last(): readonly VerifyReport[]
  /** Compares every service now and then after each `everyMs`, one after the other; a run that fails is logged and tried again in its turn. */
  start(everyMs: number, services: readonly string[], verify: (service: string) => Promise<VerifyReport>): Stop
}

/** With fewer compared values one mismatch would be an alert. */
const MIN_COMPARED = 20

/**
 * Metrics ml_feature_consistency_ratio{service,feature}, ml_feature_consistency_checked_total{service},
 * ml_feature_consistency_degraded_ratio{service,feature}; alert feature-consistency when a feature's match rate is below `minMatchRate`.
 */
export function createConsistencyWatch(
  { clock, logger, metrics }: Platform,
  alerts: Alerts,
  minMatchRate = 0.99,
): ConsistencyWatch {
  const ratio = metrics.gauge({
    name: 'ml_feature_consistency_ratio',
    help: 'Share of served values that the definition gives as well, at the last comparison',
    labels: ['service', 'feature'],
    together: 'min',
  })
  const degraded = metrics.gauge({
    name: 'ml_feature_consistency_degraded_ratio',
    help: 'Share of served values that were defaults or last known ones for want of an answer, at the last comparison',
    labels: ['service', 'feature'],
    together: 'max',
  })
  const checked = metrics.counter({
    name: 'ml_feature_consistency_checked_total',
    help: 'Served vectors that were compared with the definitions',
    labels: ['service'],
  })
  const reports = new Map<string, VerifyReport>()

  function report(report: VerifyReport): void {
    const { service } = report
    reports.set(service, report)
    checked.with(service).inc(report.checked)
    const bad = []
    for (const feature of report.features) {
      if (feature.compared === 0) continue
      ratio.with(service, feature.name).set(feature.matchRate)
      degraded.with(service, feature.name).set(feature.degradedShare)
      if (feature.matchRate < minMatchRate && feature.compared >= MIN_COMPARED) bad.push(feature)
    }
    const alert = { alert: 'feature-consistency', service, of: '' } as const
    if (bad.length > 0) {
      bad.sort((a, b) => a.matchRate - b.matchRate)
      const [worst] = bad
      const others = bad.length === 1 ? '' : ` and ${bad.length - 1} more`
      const message = `${percent(worst!.matchRate)} of "${worst!.name}"${others} match their definition; at least ${percent(minMatchRate)} should.`
      alerts.raise({ ...alert, message })
    } else if (report.features.some(({ compared }) => compared >= MIN_COMPARED)) alerts.clear(alert)
    // Nothing was compared: that is no proof that it is well again.
  }

  return {
    report,
    last: () => [...reports.values()],
    start(everyMs, services, verify) {
      let isStopped = false
      let timer = clock.after(0, run)
      function run(): void {
        void all().finally(() => {
          if (!isStopped) timer = clock.after(everyMs, run)
        })
      }
      async function all(): Promise<void> {
        for (const service of services) {
          if (isStopped) return
          try {
            report(await verify(service))
          } catch (error) {
            // The next turn tries again; the last ratios stay, and their age is in the reports.
            logger.error({ err: error, service }, 'what was served could not be compared with the definitions')
          }
        }
      }
      return () => {
        isStopped = true
        timer.cancel()
      }
    },
  }
}
