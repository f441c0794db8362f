// Nodes that share nothing but a PostgreSQL: one quota, and one secret for keys.
import { describe, expect, it, onTestFinished } from 'vitest'
import { postgresMissing, startPostgres } from '../../../test/support/postgres.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { openPostgres } from '../../store/index.js'
import { accessMigrations } from '../keys.js'
import { createDays } from './days.js'
import { Meters } from './meters.js'
import { createSqlLedger } from './sql-ledger.js'

const missing = postgresMissing()

describe.skipIf(missing)(`nodes on one PostgreSQL${missing ? ` (skipped: ${missing})` : ''}`, () => {
  it('use one quota to its last row and not beyond, all at once', { timeout: 120_000 }, async () => {
    const postgres = await startPostgres()
    onTestFinished(() => postgres.stop())
    const url = await postgres.schema()
    const QUOTA = 500
    const key = {
      id: '0123456789ab',
      name: 'shop',
      digest: '',
      secretId: '',
      role: null,
      on: null,
      predicts: ['*'],
      tenant: 'default',
      ratePerSecond: null,
      burst: null,
      quotaPerDay: QUOTA,
      createdMs: 0,
      expiresMs: null,
      revokedMs: null,
    }
    const nodes = await Promise.all(
      [1, 2, 3].map(async () => {
        const platform = testPlatform({ clock: systemClock })
        const sql = await openPostgres({ url, platform })
        onTestFinished(() => sql.close())
        await sql.migrate('access', accessMigrations)
        const ledger = createSqlLedger(sql)
        const meters = new Meters({
          platform,
          days: createDays(systemClock, 'UTC'),
          limits: {
            reserveRows: (wanted) => ledger.reserve(wanted),
            giveBackRows: (id, day, rows) => ledger.add(id, day, -rows),
            takeRequests: async ({ want }) => ({ granted: want, retryAfterMs: 0 }),
            count: async () => undefined,
          },
        })
        return { meters, meter: meters.of(key, key) }
      }),
    )
    let admitted = 0
    const take = async (node: number, rows: number): Promise<boolean> => {
      try {
        await nodes[node]!.meter.admitRows('fraud', rows)
        admitted += rows
        return true
      } catch (error) {
        expect(error).toMatchObject({ code: 'ACCESS_QUOTA_EXCEEDED' })
        return false
      }
    }
    await Promise.all(
      nodes.map(async (_, node) => {
        for (let i = 0; i < 250; i++) if (!(await take(node, 1 + (i % 3)))) break
      }),
    )
    expect(admitted).toBeLessThanOrEqual(QUOTA)
    for (const { meters } of nodes) await meters.flush(true)
    await expect
      .poll(
        async () => {
          while (await take(0, 1));
          return admitted
        },
        { timeout: 60_000, interval: 250 },
      )
      .toBe(QUOTA)
    expect(await take(1, 1)).toBe(false)
    for (const { meters } of nodes) await meters.close()
  })
})
