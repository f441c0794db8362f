import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { openSql } from '../../store/index.js'
import { compileFeatures } from '../compile.js'
import { column, defineEntity, defineFeatureView, type Expectation, fileSource, sum } from '../index.js'
import { createOfflineStore } from '../offline/offline-store.js'
import { createAlerts } from './alerts.js'
import { createViewChecks } from './view-checks.js'

const START_MS = Date.UTC(2026, 10, 1)
const user = defineEntity('user', { keys: { user_id: 'string' } })

function csv(folder: string, header: string, row: (i: number) => string, rows = 200): void {
  writeFileSync(
    join(folder, 'orders.csv'),
    `${[header, ...Array.from({ length: rows }, (_, i) => row(i))].join('\n')}\n`,
  )
}

const at = (i: number) => new Date(START_MS + i * 60_000).toISOString()

function viewOf(
  options: { expectations?: readonly Expectation[]; renames?: Record<string, string>; version?: number } = {},
) {
  const { renames, expectations = [], version = 1 } = options
  const source = fileSource('orders', {
    path: 'orders.csv',
    eventTime: 'at',
    ...(renames === undefined ? {} : { renames }),
    expectations: [
      { expect: 'unique', columns: ['order_id'] },
      { expect: 'rowCount', min: 10 },
    ],
  })
  const view = defineFeatureView('spend', {
    entities: [user],
    source,
    version,
    expectations,
    features: { total: sum(renames === undefined ? 'amount' : 'amount_eur', { over: '1h' }) },
  })
  return compileFeatures([view]).views.get('spend')!
}

async function opened(folder: string) {
  const platform = testPlatform({ clock: new ManualClock(START_MS + 86_400_000) })
  const sql = await openSql({ file: join(folder, 'data.db'), platform })
  onTestFinished(() => sql.close())
  const offline = createOfflineStore({
    platform,
    root: folder,
    environment: {},
    tempFolder: join(folder, 'work'),
    eventFiles: async () => [],
  })
  onTestFinished(() => offline.close())
  const alerts = createAlerts(platform)
  return { checks: await createViewChecks({ platform, sql, offline, alerts }), alerts, platform }
}

describe('the checks around the filling of a view', () => {
  it('refuse a source that lost a column, until it is renamed or the version raised', async () => {
    const folder = tempFolder()
    const { checks, alerts } = await opened(folder)
    csv(folder, 'user_id,at,amount', (i) => `u${i % 7},${at(i)},${i}`)
    await checks.before(viewOf())
    await checks.after(viewOf())
    csv(folder, 'user_id,at,amount,country', (i) => `u${i % 7},${at(i)},${i},DE`)
    await checks.before(viewOf())
    csv(folder, 'user_id,at,amount_eur', (i) => `u${i % 7},${at(i)},${i}`)
    await expect(checks.before(viewOf())).rejects.toMatchObject({ code: 'FEATURE_SCHEMA_CHANGED' })
    expect(alerts.list()[0]).toMatchObject({ alert: 'feature-schema', of: 'spend' })
    expect(alerts.list()[0]?.message).toContain('column "amount" (BIGINT) is gone; was it renamed to "amount_eur"?')
    await checks.before(viewOf({ renames: { amount: 'amount_eur' } }))
    expect(alerts.list()).toEqual([])
    await checks.before(viewOf({ version: 2 }))
  })

  it('raise an alert while rows as a whole are not what is expected, and clear it', async () => {
    const folder = tempFolder()
    const { checks, alerts, platform } = await opened(folder)
    const view = viewOf({ expectations: [{ expect: 'nullShare', column: 'amount', max: 0.01 }] })
    csv(folder, 'user_id,at,amount', (i) => `u${i % 7},${at(i)},${i % 4 === 0 ? '' : i}`)
    await checks.after(view)
    expect(alerts.list()).toEqual([
      {
        alert: 'feature-expectation',
        service: '',
        of: 'spend',
        message: 'Null share of amount is 25 %, at most 1 %: 50 of 200 rows.',
        sinceMs: platform.clock.nowMs(),
      },
    ])
    expect(await platform.metrics.expose()).toContain(
      'ml_feature_expectation_broken{of="spend",reason="nullShare amount"} 1',
    )
    csv(folder, 'user_id,at,amount', (i) => `u${i % 7},${at(i)},${i}`)
    await checks.after(view)
    expect(alerts.list()).toEqual([])
    // The rule about order_id is the source's, and this view does not read that column.
    const lines = (await platform.metrics.expose()).split('\n')
    expect(lines.filter((line) => line.startsWith('ml_feature_expectation_broken{'))).toEqual([
      'ml_feature_expectation_broken{of="spend",reason="rowCount"} 0',
      'ml_feature_expectation_broken{of="spend",reason="nullShare amount"} 0',
    ])
  })

  it('fill a view whose rows cannot be judged, and say so', async () => {
    const folder = tempFolder()
    const { checks, alerts } = await opened(folder)
    csv(folder, 'user_id,at,amount', (i) => `u${i % 7},${at(i)},${i}`)
    await checks.after(viewOf({ expectations: [{ expect: 'notNull', column: 'colour' }] }))
    expect(alerts.list()).toEqual([])
    await expect(checks.check(viewOf({ expectations: [{ expect: 'notNull', column: 'colour' }] }))).rejects.toThrow(
      'there is no column "colour"',
    )
  })

  it('judge a view of columns under the names of features and of the source', async () => {
    const folder = tempFolder()
    const { checks, platform } = await opened(folder)
    csv(folder, 'user_id,at,amount', (i) => `u${i % 7},${at(i)},${i}`)
    const source = fileSource('orders', { path: 'orders.csv', eventTime: 'at' })
    const view = defineFeatureView('last_order', {
      entities: [user],
      source,
      features: { spent: column('float64', { from: 'amount' }) },
      expectations: [
        { expect: 'range', column: 'spent', max: 100 },
        { expect: 'range', column: 'amount', max: 1000 },
        { expect: 'monotonic', column: 'spent' },
        { expect: 'notNull', column: 'at' },
        { expect: 'notNull', column: 'user_id' },
      ],
    })
    const report = await checks.check(compileFeatures([view]).views.get('last_order')!, {
      sinceMs: START_MS + 100 * 60_000,
    })
    expect(report.results.map(({ passed }) => passed)).toEqual([false, true, true, true, true])
    expect(report.results[0]?.explanation).toBe(
      'Share of rows that break "range spent" rose from 0 % to 99 %: 99 of 100 rows since 2026-11-01T01:40:00Z.',
    )
    // A part of the rows says nothing of how the view stands.
    expect(await platform.metrics.expose()).not.toContain('ml_feature_expectation_broken{')
  })
})
