// Several processes, one quota: never a row too many, and none lost.
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { createMemoryKeyValue, openSql } from '../../store/index.js'
import { accessMigrations, type StoredKey } from '../keys.js'
import { createDays } from './days.js'
import { withLocalShare } from './local-share.js'
import { Meters } from './meters.js'
import { RateBuckets } from './rate-buckets.js'
import { createSharedLedger } from './shared-ledger.js'
import { createSqlLedger } from './sql-ledger.js'
import type { Limits, QuotaLedger, UsageCount } from './types.js'

const KEY: StoredKey = {
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
  quotaPerDay: null,
  createdMs: 0,
  expiresMs: null,
  revokedMs: null,
}

function limitsOf(ledger: QuotaLedger, clock: ManualClock, counted: UsageCount[]): Limits {
  const buckets = new RateBuckets(clock)
  return {
    reserveRows: (wanted) => ledger.reserve(wanted),
    giveBackRows: (key, day, rows) => ledger.add(key, day, -rows),
    takeRequests: async (wanted) => buckets.take(wanted),
    async count(counts) {
      counted.push(...counts)
    },
  }
}

const openLedger: Record<string, () => Promise<QuotaLedger>> = {
  async SQL() {
    const platform = testPlatform()
    const folder = tempFolder()
    const sql = await openSql({ file: join(folder, 'metadata.db'), platform })
    onTestFinished(() => sql.close())
    await sql.migrate('access', accessMigrations)
    return createSqlLedger(sql)
  },
  'a shared store': async () => createSharedLedger(createMemoryKeyValue({ clock: new ManualClock() })),
}

describe.each(Object.keys(openLedger))('a daily quota in %s', (kind) => {
  it('is used to its last row and not beyond, whatever processes ask for and when', async () => {
    const ledger = await openLedger[kind]!()
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.record({ process: fc.nat(4), rows: fc.integer({ min: 1, max: 20 }), waits: fc.boolean() }), {
          minLength: 1,
          maxLength: 80,
        }),
        async (quotaPerDay, processes, requests) => {
          const clock = new ManualClock()
          const counted: UsageCount[] = []
          const limits = limitsOf(ledger, clock, counted)
          const key = { ...KEY, id: `k${run++}`, quotaPerDay }
          const members = Array.from({ length: processes }, () => {
            const meters = new Meters({ platform: testPlatform({ clock }), days: createDays(clock, 'UTC'), limits })
            return { meters, meter: meters.of(key, key) }
          })
          let admitted = 0
          const ask = async (process: number, rows: number): Promise<boolean> => {
            try {
              await members[process % processes]!.meter.admitRows('fraud', rows)
              admitted += rows
              return true
            } catch (error) {
              expect(error).toMatchObject({ code: 'ACCESS_QUOTA_EXCEEDED', status: 429 })
              return false
            }
          }
          const asked: Promise<boolean>[] = []
          for (const { process, rows, waits } of requests) {
            const asking = ask(process, rows)
            asked.push(asking)
            if (waits) await asking
          }
          await Promise.all(asked)
          expect(admitted).toBeLessThanOrEqual(quotaPerDay)
          // What nobody used goes back, so that a process of its own can have all of the rest, row by row.
          for (const { meters } of members) await meters.flush(true)
          clock.advance(1000)
          for (let i = admitted; i < quotaPerDay; i++) expect(await ask(0, 1)).toBe(true)
          clock.advance(1000)
          for (const member of members.keys()) expect(await ask(member, 1)).toBe(false)
          for (const { meters } of members) await meters.close()
          expect(admitted).toBe(quotaPerDay)
          expect(counted.reduce((sum, { rows }) => sum + rows, 0)).toBe(quotaPerDay)
        },
      ),
      { numRuns: 12 },
    )
  }, 60_000)
})

describe('what a process holds', () => {
  it('goes back when it is not used for a second, and is not what others are refused for', async () => {
    const clock = new ManualClock()
    const ledger = createSharedLedger(createMemoryKeyValue({ clock }))
    const days = createDays(clock, 'UTC')
    const key = { ...KEY, quotaPerDay: 100 }
    const [first, second] = [1, 2].map(
      () => new Meters({ platform: testPlatform({ clock }), days, limits: limitsOf(ledger, clock, []) }),
    )
    await first!.of(key, key).admitRows('fraud', 1)
    const other = second!.of(key, key)
    await expect(Promise.resolve(other.admitRows('fraud', 99))).rejects.toMatchObject({ code: 'ACCESS_QUOTA_EXCEEDED' })
    clock.advance(2500)
    await new Promise(setImmediate)
    await other.admitRows('fraud', 99)
  })

  it('begins anew at midnight of the zone', async () => {
    const clock = new ManualClock(Date.parse('2026-11-22T22:59:59Z'))
    const ledger = createSharedLedger(createMemoryKeyValue({ clock }))
    const counted: UsageCount[] = []
    const limits = limitsOf(ledger, clock, counted)
    const meters = new Meters({ platform: testPlatform({ clock }), days: createDays(clock, 'Europe/Berlin'), limits })
    const key = { ...KEY, quotaPerDay: 5 }
    const meter = meters.of(key, key)
    await meter.admitRows('fraud', 5)
    await expect(Promise.resolve(meter.admitRows('fraud', 1))).rejects.toMatchObject({
      code: 'ACCESS_QUOTA_EXCEEDED',
      params: { retryAfterMs: 1000 },
    })
    clock.advance(1000)
    await meter.admitRows('fraud', 5)
    await meters.flush(true)
    expect(counted.map(({ day, rows }) => [day, rows])).toEqual([
      ['2026-11-22', 5],
      ['2026-11-23', 5],
    ])
  })

  it('is a tenth of the quota while the ledger is away, and is counted when it is back', async () => {
    const clock = new ManualClock()
    const shared = createSharedLedger(createMemoryKeyValue({ clock }))
    let isAway = true
    const failing: QuotaLedger = {
      reserve: (wanted) => (isAway ? Promise.reject(new Error('away')) : shared.reserve(wanted)),
      add: (...given) => (isAway ? Promise.reject(new Error('away')) : shared.add(...given)),
    }
    const platform = testPlatform({ clock })
    const ledger = withLocalShare(failing, { clock, logger: platform.logger, answerLimitMs: 500 })
    const reserve = (need: number) => ledger.reserve({ key: 'k', day: '2026-11-22', limit: 100, need })
    expect(await reserve(6)).toBe(6)
    expect(await reserve(4)).toBe(4)
    expect(await reserve(1)).toBe(0)
    isAway = false
    expect(await reserve(91)).toBe(0)
    expect(await reserve(90)).toBe(90)
  })
})

describe('a rate', () => {
  it('lets the burst in at once and then as many as the rate, in all processes together', async () => {
    const clock = new ManualClock()
    const limits = limitsOf(createSharedLedger(createMemoryKeyValue({ clock })), clock, [])
    const key = { ...KEY, ratePerSecond: 100, burst: 20 }
    const meters = [1, 2, 3].map(() =>
      new Meters({ platform: testPlatform({ clock }), days: createDays(clock, 'UTC'), limits }).of(key, key),
    )
    const admitted = async (requests: number) => {
      let count = 0
      for (let i = 0; i < requests; i++) {
        try {
          await meters[i % meters.length]!.admitRequest()
          count++
        } catch (error) {
          expect(error).toMatchObject({ code: 'ACCESS_RATE_LIMITED', params: { limit: 100 } })
        }
      }
      return count
    }
    expect(await admitted(100)).toBe(20)
    let later = 0
    for (let tick = 0; tick < 100; tick++) {
      clock.advance(10)
      later += await admitted(5)
    }
    expect(later).toBeLessThanOrEqual(100)
    expect(later).toBeGreaterThanOrEqual(95)
  })
})
