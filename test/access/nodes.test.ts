// Nodes that share a PostgreSQL and a Redis, both of them real: the same keys, one quota, one rate.
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  accessMigrations,
  createDays,
  createSqlLedger,
  type Meter,
  Meters,
  type StoredKey,
} from '../../src/access/index.js'
import { openAppAccess } from '../../src/app/access/app-access.js'
import { loadProject, type MadeKey, openEngines } from '../../src/app/index.js'
import { createPlatform, systemClock, testPlatform } from '../../src/core/index.js'
import type { Actor } from '../../src/decisions/index.js'
import { openPostgres } from '../../src/store/index.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../support/postgres.js'
import { redisMissing, startRedis } from '../support/redis.js'
import { tempFolder } from '../support/temp-folder.js'

const missing = postgresMissing()
const noRedis = redisMissing()
const ANNA: Actor = { kind: 'person', name: 'anna' }
const patience = { timeout: 60_000 }

/** How many of so many requests, or rows, are let in, by each of the meters in turn. */
async function admitted(meters: readonly Meter[], times: number, what: 'request' | 'row'): Promise<number> {
  let count = 0
  for (let i = 0; i < times; i++) {
    const meter = meters[i % meters.length]!
    try {
      await (what === 'request' ? meter.admitRequest() : meter.admitRows('fraud', 1))
      count++
    } catch (error) {
      expect(error).toMatchObject({ status: 429 })
    }
  }
  return count
}

describe.skipIf(missing)(`nodes on one PostgreSQL${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let postgres: TestPostgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 60_000)
  afterAll(() => postgres?.stop())

  it('use one quota to its last row and not beyond, all at once', { timeout: 120_000 }, async () => {
    const url = await postgres.schema()
    const QUOTA = 500
    const key: StoredKey = {
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
    let total = 0
    const take = async (node: number, rows: number): Promise<boolean> => {
      try {
        await nodes[node]!.meter.admitRows('fraud', rows)
        total += rows
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
    expect(total).toBeLessThanOrEqual(QUOTA)
    for (const { meters } of nodes) await meters.flush(true)
    await expect
      .poll(
        async () => {
          while (await take(0, 1));
          return total
        },
        { ...patience, interval: 250 },
      )
      .toBe(QUOTA)
    expect(await take(1, 1)).toBe(false)
    for (const { meters } of nodes) await meters.close()
  })

  describe.skipIf(noRedis)(`and one Redis${noRedis ? ` (skipped: ${noRedis})` : ''}`, () => {
    it('know each other’s keys, share rates and quotas, and their parts while Redis hangs', {
      timeout: 180_000,
    }, async () => {
      vi.stubEnv('HEADRACE_KEY_SECRET', 'the same thirty-two bytes on each of the nodes')
      onTestFinished(() => void vi.unstubAllEnvs())
      const redis = await startRedis()
      onTestFinished(() => redis.kill())
      const url = await postgres.schema()
      const node = async () => {
        const project = await loadProject(join(import.meta.dirname, '../../examples/shop/models'), {
          environment: {
            DATABASE_URL: url,
            REDIS_URL: redis.url,
            HEADRACE_STORE_DATA_DIR: join(tempFolder(), 'data'),
          },
        })
        const platform = createPlatform({ logger: testPlatform().logger })
        const engines = await openEngines(project, platform)
        onTestFinished(() => engines.close())
        const { access, close } = await openAppAccess(project, engines, platform)
        onTestFinished(close)
        return { keys: engines.services.access, access, list: () => engines.services.nodes.list() }
      }
      const [one, two] = await Promise.all([node(), node()])
      const both = [one, two]
      expect(both.map(({ access }) => access.isOpen)).toEqual([true, true])
      await one.keys.create({ name: 'admin', role: 'admin' }, ANNA)
      const limits = { predict: ['*'], ratePerSecond: 0.001, burst: 40, quotaPerDay: 200 }
      const shop = await one.keys.create({ name: 'shop', ...limits }, ANNA)
      const late = await two.keys.create({ name: 'late', ...limits }, ANNA)
      const authenticate = async ({ access }: (typeof both)[number], { secret }: MadeKey) =>
        access.authenticate({ authorization: `Bearer ${secret}` })
      const metersOf = (key: MadeKey) =>
        Promise.all(
          both.map(async (each) => {
            const name = async () => (await authenticate(each, key).catch(() => undefined))?.name
            await expect.poll(name, patience).toBe(key.key.name)
            return (await authenticate(each, key)).meter!
          }),
        )
      const meters = await metersOf(shop)
      await expect.poll(async () => (await one.list()).length, patience).toBe(2)

      // Nodes start without waiting for Redis.
      const client = new Redis(redis.url)
      onTestFinished(() => client.disconnect())
      for (const [index, { keys }] of both.entries())
        await expect
          .poll(async () => {
            await keys.takeRequests({ key: `probe${index}`, perSecond: 1, burst: 1, want: 1 })
            return client.exists(`headrace:rate:probe${index}`)
          }, patience)
          .toBe(1)
      expect(await admitted(meters, 100, 'request')).toBe(40)
      expect(await admitted(meters, 60, 'row')).toBe(60)

      redis.freeze()
      // Half of the rate each, and a tenth of the quota each: nobody is refused because Redis says nothing.
      const latecomers = await metersOf(late)
      expect(await admitted(latecomers, 100, 'request')).toBe(40)
      expect(await admitted(latecomers, 100, 'row')).toBe(40)

      // It hangs to the end: nodes close all the same.
      await one.keys.revoke('shop', undefined, ANNA)
      for (const each of both) {
        const code = () => authenticate(each, shop).catch((error: { code: string }) => error.code)
        await expect.poll(code, patience).toBe('ACCESS_KEY_REVOKED')
      }

      vi.stubEnv('HEADRACE_KEY_SECRET', 'another thirty-two bytes, of a node that was set up in a hurry')
      await expect(node()).rejects.toMatchObject({ code: 'ACCESS_SECRET_DIFFERS' })
    })
  })
})
