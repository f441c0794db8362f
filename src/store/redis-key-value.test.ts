import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { keyValueContract } from '../../test/contract/key-value.js'
import { redisMissing, startRedis, type TestRedis } from '../../test/support/redis.js'
import { createLogger, seededRandom, silentLogger, systemClock } from '../core/index.js'
import { createRedisKeyValue, type RedisKeyValue } from './index.js'

const missing = redisMissing()

describe.skipIf(missing !== undefined)('the key-value store in Redis', () => {
  let server: TestRedis
  let admin: Redis
  let store: RedisKeyValue

  beforeAll(async () => {
    server = await startRedis()
    admin = new Redis(server.url)
    admin.on('error', () => undefined)
    store = await open()
  })
  afterAll(async () => {
    await store.close()
    admin.disconnect()
    await server.kill()
  })
  beforeEach(async () => {
    await admin.flushall()
  })

  async function open(logger = silentLogger): Promise<RedisKeyValue> {
    const opened = await createRedisKeyValue({ url: server.url, random: seededRandom(1), clock: systemClock, logger })
    await until(() => opened.getMany(['x']).then(() => true))
    return opened
  }

  /** An hour cannot be waited for: what is left of each key's life is made shorter instead. */
  async function advance(ms: number): Promise<void> {
    for (const key of await admin.keys('*')) {
      const leftMs = await admin.pttl(key)
      if (leftMs < 0) continue
      if (leftMs <= ms) await admin.del(key)
      else await admin.pexpire(key, leftMs - ms)
    }
  }

  keyValueContract(() => ({ store, advance }))

  it('keeps its keys apart from those of others', async () => {
    await store.setMany([{ key: 'a', value: Buffer.from('1') }])
    expect(await admin.keys('*')).toEqual(['headrace:a'])
  })

  it('gives out what a token bucket holds and then what flows in, and forgets it when it is full', async () => {
    const other = await open()
    const take = (from: RedisKeyValue, want: number, perSecond = 0.01) =>
      from.takeTokens('bucket', { perSecond, burst: 10, want })
    expect(await take(store, 4)).toEqual({ granted: 4, retryAfterMs: 0 })
    expect(await take(other, 7)).toEqual({ granted: 6, retryAfterMs: 0 })
    const { granted, retryAfterMs } = await take(store, 1)
    expect(granted).toBe(0)
    expect(retryAfterMs).toBeGreaterThan(50_000)
    expect(retryAfterMs).toBeLessThanOrEqual(100_000)
    expect(await admin.pttl('headrace:bucket')).toBeLessThanOrEqual(1_001_000)
    // A thousand a second: full again at once, and then never above it.
    await until(async () => (await take(store, 1, 1000)).granted === 1)
    expect((await take(store, 1e9, 1000)).granted).toBeLessThanOrEqual(10)
    // What is asked for in all at once is given once.
    await admin.flushall()
    const taken = await Promise.all(Array.from({ length: 40 }, (_, i) => take(i % 2 ? store : other, 1)))
    expect(taken.filter((one) => one.granted === 1)).toHaveLength(10)
    await other.close()
  })

  it('fails at once while Redis is gone, says so once, and works again when it is back', async () => {
    const lines: string[] = []
    const logger = createLogger({ destination: { write: (line: string) => void lines.push(line) } })
    const own = await open(logger)
    await server.kill()
    await until(() =>
      own.getMany(['a']).then(
        () => false,
        () => true,
      ),
    )
    const startedMs = performance.now()
    // A single one that waits takes two seconds.
    for (let i = 0; i < 50; i++)
      await expect(own.getMany(['a'])).rejects.toMatchObject({ code: 'STORE_REDIS_FAILED', status: 503 })
    await expect(own.setMany([{ key: 'a', value: Buffer.from('1') }])).rejects.toMatchObject({
      code: 'STORE_REDIS_FAILED',
    })
    await expect(own.increment('n', 1, 1000)).rejects.toMatchObject({ code: 'STORE_REDIS_FAILED' })
    expect(performance.now() - startedMs).toBeLessThan(20_000)
    await server.start()
    await until(() =>
      own.setMany([{ key: 'a', value: Buffer.from('2') }]).then(
        () => true,
        () => false,
      ),
    )
    expect(Buffer.from((await own.getMany(['a']))[0]!).toString()).toBe('2')
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'Redis cannot be reached',
      'Redis can be reached again',
    ])
    await own.close()
  })

  it('closes although Redis does not answer', async () => {
    const own = await open()
    server.freeze()
    const hanging = own.getMany(['a']).catch((error: unknown) => error)
    await own.close()
    expect(await hanging).toMatchObject({ code: 'STORE_REDIS_FAILED' })
    server.thaw()
  })
})

if (missing !== undefined) it.skip(`the key-value store in Redis: ${missing}`, () => undefined)

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  // Also in hooks, where nothing can be polled.
  await vi.waitUntil(() => isTrue().catch(() => false), { timeout: 30_000, interval: 10 })
}
