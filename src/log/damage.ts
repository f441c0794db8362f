// Every reader that passes damage hears of it; each is reported once.
import type { Logger } from '../core/index.js'
import type { Damage } from './block-reader.js'
import type { LogMetrics } from './log-metrics.js'

export function damageReporter(logger: Logger, metrics: LogMetrics): (damage: Damage) => void {
  const reported = new Set<string>()
  return (damage) => {
    const key = `${damage.segment}:${damage.offset}`
    if (reported.has(key)) return
    reported.add(key)
    metrics.damagedBytes.inc(damage.sizeBytes)
    logger.error({ ...damage }, 'A log segment is damaged: these bytes fail their checksum and are left out')
  }
}
