import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { onlineStoreContract, row, stateOf } from '../../../test/contract/online-store.js'
import { eventEngine, rowTable, windowTable } from '../../../test/support/online.js'
import { redisMissing, startRedis, type TestRedis } from '../../../test/support/redis.js'
import { createPlatform } from '../../core/index.js'
import { createRedisOnlineStore, type RedisOnlineStoreOptions } from './redis-online-store.js'
import type { OnlineStore, StateWrite } from './types.js'

const missing = redisMissing()

describe.skipIf(missing !== undefined)('the online store in Redis', () => {
  let server: TestRedis
  let admin: Redis
  const platform = createPlatform()
  const numbers = rowTable('numbers', ['float64'])
  const windows = windowTable('windows')
  const opened: OnlineStore[] = []

  beforeAll(async () => {
    server = await startRedis()
    admin = new Redis(server.url)
    admin.on('error', () => undefined)
  })
  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()))
    admin.disconnect()
    await server.kill()
  })

  async function open(options: Partial<RedisOnlineStoreOptions> = {}): Promise<OnlineStore> {
    const store = await createRedisOnlineStore({
      platform: createPlatform(),
      url: server.url,
      engineOf: eventEngine,
      ...options,
    })
    opened.push(store)
    return store
  }

  onlineStoreContract(async () => {
    await admin.flushall()
    return { store: await open(), nowMs: platform.clock.nowMs() }
  })

  it('answers a read of any number of tables and keys with one command', async () => {
    const store = await open()
    const nowMs = platform.clock.nowMs()
    const before = await commandsOf(admin)
    await store.read(
      Array.from({ length: 25 }, (_, i) => ({
        table: rowTable(`v${i}`, ['float64']),
        keys: Array.from({ length: 100 }, (_, j) => `k${j}`),
      })),
      nowMs,
    )
    // The second INFO counts itself.
    expect((await commandsOf(admin)) - before).toBe(2)
  })

  it('lets Redis forget rows and states some time after nobody can use them, and does not write dead ones', async () => {
    await admin.flushall()
    const store = await open({ prefix: 'p:' })
    const nowMs = platform.clock.nowMs()
    const day = 86_400_000
    const mortal = rowTable('mortal', ['float64'], day)
    expect(await store.writeRows(mortal, [row('a', nowMs, [1]), row('dead', nowMs - 2 * day - 1, [1])])).toBe(1)
    await store.writeRows(numbers, [row('a', 5, [1])])
    await store.writeStates(windows, [
      { key: 'a', state: stateOf(nowMs) },
      { key: 'dead', state: stateOf(nowMs - day) },
    ])
    expect((await admin.keys('*')).sort()).toEqual([
      'p:r:mortal@1.1:a',
      'p:r:numbers@1.1:a',
      'p:r:windows@1.1:a',
      'p:tables',
    ])
    const hour = 3_600_000
    expect(Math.abs((await admin.pttl('p:r:mortal@1.1:a')) - 2 * day)).toBeLessThan(10_000)
    expect(Math.abs((await admin.pttl('p:r:windows@1.1:a')) - (2 * hour + 60_000))).toBeLessThan(10_000)
    expect(await admin.pttl('p:r:numbers@1.1:a')).toBe(-1)
  })

  it('takes a value that it cannot read for none, and counts it', async () => {
    const own = createPlatform()
    const store = await open({ platform: own, prefix: 'd:' })
    const nowMs = own.clock.nowMs()
    await store.writeRows(numbers, [row('a', nowMs, [1]), row('b', nowMs, [2]), row('c', nowMs, [3])])
    await admin.set('d:r:numbers@1.1:a', Buffer.from([1, 0, 0]))
    await admin.set('d:r:numbers@1.1:b', 'something else that is there')
    const [entries] = await store.read([{ table: numbers, keys: ['a', 'b', 'c'] }], nowMs)
    expect(entries!.map((entry) => entry?.values)).toEqual([undefined, undefined, [3]])
    expect(await own.metrics.expose()).toContain('ml_feature_store_corrupt_total 2')
    expect(await store.writeRows(numbers, [row('a', 0, [7]), row('b', 0, [8])])).toBe(2)
    expect((await store.read([{ table: numbers, keys: ['a'] }], nowMs))[0]![0]!.values).toEqual([7])
  })

  it('fails at once while Redis is gone, works again when it is back, and then has no mark', async () => {
    const store = await open()
    const nowMs = platform.clock.nowMs()
    const mark = { fingerprint: 'f', throughKnownMs: 1, seamMs: null, keys: 1, writtenMs: 1 }
    await store.writeMark(numbers, mark)
    await server.kill()
    await until(() => fails(store.readMark(numbers)))
    const startedMs = performance.now()
    const read = async () => store.read([{ table: numbers, keys: ['a'] }], nowMs)
    for (let i = 0; i < 100; i++) {
      await expect(read()).rejects.toMatchObject({ code: 'FEATURE_STORE_UNAVAILABLE', status: 503 })
    }
    await expect(store.writeRows(numbers, [row('a', nowMs, [1])])).rejects.toMatchObject({
      code: 'FEATURE_STORE_UNAVAILABLE',
    })
    // Were each to wait for a connection, two seconds, all would take minutes.
    expect(performance.now() - startedMs).toBeLessThan(20_000)
    await server.start()
    await until(async () => !(await fails(store.readMark(numbers))))
    expect(await store.readMark(numbers)).toBeUndefined()
    await until(async () => !(await fails(read())))
  })

  it('commits states and position or neither when Redis is killed in mid-write', async () => {
    await admin.flushall().catch(() => undefined)
    const store = await open()
    const nowMs = platform.clock.nowMs()
    const large = stateOf(...Array.from({ length: 50 }, (_, i) => nowMs - i))
    const write = store
      .writeStates(
        windows,
        Array.from({ length: 3000 }, (_, i) => ({ key: `k${i}`, state: large })),
        { stream: 's', at: { '0': '1' } },
      )
      .then(
        () => 'committed',
        (error: { code: string }) => error.code,
      )
    await new Promise((resolve) => setImmediate(resolve))
    await server.kill()
    expect(['committed', 'FEATURE_STORE_UNAVAILABLE']).toContain(await write)
    await server.start()
    await until(async () => !(await fails(store.position(windows, 's'))))
    expect(await store.position(windows, 's')).toBeUndefined()
  })

  it('refuses the states of a process that was overtaken, or whose store was emptied meanwhile', async () => {
    await admin.flushall()
    const [mine, theirs] = [await open(), await open()]
    const nowMs = platform.clock.nowMs()
    const [one, two] = [stateOf(nowMs - 1), stateOf(nowMs - 1, nowMs - 2)]
    const write = (store: OnlineStore, states: readonly StateWrite[], next: string, after: string | null) =>
      store.writeStates(windows, states, {
        stream: 's/0',
        at: { '0': next },
        after: after === null ? null : { '0': after },
      })
    const count = async () => (await mine.read([{ table: windows, keys: ['a'] }], nowMs))[0]![0]?.values[0]
    await write(mine, [{ key: 'a', state: one }], '1', null)
    // Both have read position 1; the other one is first.
    await write(theirs, [{ key: 'a', state: two }], '2', '1')
    const moved = { code: 'FEATURE_POSITION_MOVED', status: 503 }
    await expect(write(mine, [{ key: 'a', state: one }], '2', '1')).rejects.toMatchObject(moved)
    await expect(write(mine, [{ key: 'a', state: undefined }], '1', null)).rejects.toMatchObject(moved)
    expect([await count(), await mine.position(windows, 's/0')]).toEqual([2, { '0': '2' }])
    await write(mine, [{ key: 'a', state: undefined }], '3', '2')
    expect(await count()).toBeUndefined()
    await admin.flushall()
    await expect(write(mine, [{ key: 'a', state: one }], '4', '3')).rejects.toMatchObject(moved)
    expect(await admin.keys('*')).toEqual([])
  })

  it('rejects what waits for a Redis that does not answer, without piling up, and recovers by itself', async () => {
    const store = await open()
    const nowMs = platform.clock.nowMs()
    const read = async () => store.read([{ table: numbers, keys: ['a'] }], nowMs)
    await until(async () => !(await fails(read())))
    server.freeze()
    const waiting = Array.from({ length: 1500 }, () => read().catch((error: { code: string }) => error.code))
    // The last ones are over the limit of what may be under way, and wait for nothing.
    const [first, last] = [waiting[0]!.then(() => 'the first'), waiting.at(-1)!.then(() => 'the last')]
    expect(await Promise.race([first, last])).toBe('the last')
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['FEATURE_STORE_UNAVAILABLE']))
    await expect(read()).rejects.toMatchObject({ code: 'FEATURE_STORE_UNAVAILABLE' })
    server.thaw()
    await until(async () => !(await fails(read())))
  })

  it('opens although there is no Redis', async () => {
    const store = await open({ url: 'redis://127.0.0.1:1' })
    await expect(store.readMark(numbers)).rejects.toMatchObject({ code: 'FEATURE_STORE_UNAVAILABLE' })
  })
})

if (missing !== undefined) it.skip(`the online store in Redis: ${missing}`, () => undefined)

async function commandsOf(admin: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await admin.info('stats'))![1])
}

function fails(promise: PromiseLike<unknown>): Promise<boolean> {
  return Promise.resolve(promise).then(
    () => false,
    () => true,
  )
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  await expect.poll(isTrue, { interval: 10 }).toBe(true)
}
