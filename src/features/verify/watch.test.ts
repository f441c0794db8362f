import { describe, expect, it } from 'vitest'
import { ManualClock, type Platform, testPlatform } from '../../core/index.js'
import { createAlerts } from '../quality/alerts.js'
import type { FeatureVerification, VerifyReport } from './types.js'
import { createConsistencyWatch } from './watch.js'

function reportOf(matchRate: number, compared = 100): VerifyReport {
  const feature: FeatureVerification = {
    name: 'total',
    compared,
    matched: Math.round(compared * matchRate),
    mismatched: compared - Math.round(compared * matchRate),
    missing: 0,
    extra: 0,
    late: 0,
    matchRate,
    defaults: 0,
    lastKnown: 0,
    given: 0,
    degradedShare: 0.25,
    relativeError: undefined,
    editDistance: undefined,
    cosineDistance: undefined,
    examples: [],
  }
  return {
    service: 'fraud',
    fromMs: 0,
    toMs: 1,
    vectors: 100,
    checked: 100,
    sampleShare: 1,
    skipped: [],
    tolerance: 1e-9,
    graceMs: 5000,
    features: [feature],
    matchRate,
    elapsedMs: 1,
  }
}

function logged(): { readonly platform: Platform; readonly lines: string[]; readonly clock: ManualClock } {
  const lines: string[] = []
  const clock = new ManualClock()
  const logger = {
    debug() {},
    info: (_fields: object, message: string) => void lines.push(`info ${message}`),
    warn: (_fields: object, message: string) => void lines.push(`warn ${message}`),
    error: (_fields: object, message: string) => void lines.push(`error ${message}`),
    child: () => logger,
  }
  return { platform: testPlatform({ clock, logger }), lines, clock }
}

describe('the watch over consistency', () => {
  it('raises one alert while a feature does not match, and clears it when it does again', async () => {
    const { platform, lines, clock } = logged()
    const alerts = createAlerts(platform)
    const watch = createConsistencyWatch(platform, alerts)
    watch.report(reportOf(0.5))
    clock.advance(1000)
    watch.report(reportOf(0.98))
    expect(alerts.list()).toEqual([
      {
        alert: 'feature-consistency',
        service: 'fraud',
        of: '',
        message: '98 % of "total" match their definition; at least 99 % should.',
        sinceMs: platform.clock.nowMs() - 1000,
      },
    ])
    expect(lines).toEqual(['warn an alert was raised'])
    const text = await platform.metrics.expose()
    expect(text).toContain('ml_feature_consistency_ratio{service="fraud",feature="total"} 0.98')
    expect(text).toContain('ml_feature_consistency_degraded_ratio{service="fraud",feature="total"} 0.25')
    expect(text).toContain('ml_feature_consistency_checked_total{service="fraud"} 200')
    expect(text).toContain('ml_alert_active{alert="feature-consistency",service="fraud",of=""} 1')
    watch.report(reportOf(0, 3))
    expect(alerts.list()).toHaveLength(1)
    watch.report(reportOf(0.995))
    expect(alerts.list()).toEqual([])
    expect(lines).toEqual(['warn an alert was raised', 'info an alert is over'])
    expect(await platform.metrics.expose()).toContain('service="fraud",of=""} 0')
    expect(watch.last()[0]?.matchRate).toBe(0.995)
  })

  it('compares each service in its turn, goes on after a failure, and stops', async () => {
    const { platform, lines, clock } = logged()
    const watch = createConsistencyWatch(platform, createAlerts(platform))
    const asked: string[] = []
    const stop = watch.start(60_000, ['fraud', 'intent'], async (service) => {
      asked.push(service)
      if (service === 'fraud') throw new Error('the log is gone')
      return reportOf(1)
    })
    const settle = async () => {
      for (let i = 0; i < 20; i++) await Promise.resolve()
    }
    clock.advance(0)
    await settle()
    clock.advance(60_000)
    await settle()
    expect(asked).toEqual(['fraud', 'intent', 'fraud', 'intent'])
    expect(lines[0]).toBe('error what was served could not be compared with the definitions')
    stop()
    clock.advance(600_000)
    await settle()
    expect(asked).toHaveLength(4)
  })
})
