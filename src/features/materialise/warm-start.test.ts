// Redis comes back empty under a running server: noticed within seconds, and everything is filled again from the sources.
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { arrayOffline, openFlow } from '../../../test/support/feature-flow.js'
import { redisMissing, startRedis } from '../../../test/support/redis.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { createPlatform } from '../../core/index.js'
import { createWindowEngine } from '../aggregate/engine.js'
import { column, count, defineEntity, defineFeatureView, fileSource, pushSource } from '../index.js'
import { createRedisOnlineStore } from '../online/redis-online-store.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const orders = pushSource('orders', { columns: { user_id: 'string' } })
const definitions = [
  defineFeatureView('profile', {
    entities: [user],
    source: fileSource('profiles', { path: 'p.parquet', eventTime: 'at' }),
    features: { score: column('float64') },
  }),
  defineFeatureView('activity', { entities: [user], stream: orders, features: { orders: count({ over: '1d' }) } }),
]

const missing = redisMissing()

describe(`a store in Redis${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  it.skipIf(missing !== undefined)('is filled again when it comes back empty', { timeout: 60_000 }, async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.kill())
    const platform = createPlatform()
    const engines = new WeakMap<object, ReturnType<typeof createWindowEngine>>()
    const store = await createRedisOnlineStore({
      platform,
      url: redis.url,
      engineOf: (view) => {
        const engine = engines.get(view) ?? createWindowEngine(view)
        engines.set(view, engine)
        return engine
      },
    })
    onTestFinished(() => store.close())
    const nowMs = platform.clock.nowMs()
    const rows = [{ key: 'ann', eventMs: nowMs - 1000, knownMs: nowMs - 1000, values: [3] }]
    const offline = arrayOffline({ profile: { rows } })
    const flow = await openFlow({ folder: tempFolder(), definitions, platform, store, offline })
    onTestFinished(() => flow.close())
    await flow.ingestor.start()
    await flow.materialiser.start()
    const push = () => flow.ingestor.push('orders', [{ row: { user_id: 'ann' }, knownMs: platform.clock.nowMs() }])
    const read = async () => [
      await flow.read('profile', 'ann'),
      await flow.read('activity', 'ann', platform.clock.nowMs() + 1),
    ]
    const slow = { timeout: 30_000, interval: 50 }
    await push()
    await push()
    await expect.poll(read, slow).toEqual([[3], [2]])

    const admin = new Redis(redis.url)
    await admin.flushall()
    admin.disconnect()
    const seen = new Set<string>()
    await expect
      .poll(async () => {
        const values = await read()
        seen.add(JSON.stringify(values[1] ?? null))
        return values
      }, slow)
      .toEqual([[3], [2]])
    await push()
    await expect.poll(read, slow).toEqual([[3], [3]])
    // Nobody was ever told of a part of the events.
    expect([...seen].filter((values) => values !== 'null')).toEqual(['[2]'])
    expect(await platform.metrics.expose()).toContain('ml_feature_warm_starts_total{view="activity"} 1')
  })
})
