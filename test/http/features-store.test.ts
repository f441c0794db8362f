// What requests get while the online store is dead, frozen or slow. Redis is the real one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWindowEngine } from '../../src/features/aggregate/engine.js'
import { column, defineEntity, defineFeatureService, defineFeatureView, pushSource } from '../../src/features/index.js'
import { createRedisOnlineStore } from '../../src/features/online/redis-online-store.js'
import type { StoredPrediction } from '../../src/log/index.js'
import { version } from '../../src/route/index.js'
import { type FeatureServer, startFeatureServer } from '../support/feature-server.js'
import { call } from '../support/http.js'
import { redisMissing, startRedis, type TestRedis } from '../support/redis.js'

const missing = redisMissing()

const user = defineEntity('user', { keys: { user_id: 'string' } })
const view = defineFeatureView('user_view', {
  entities: [user],
  stream: pushSource('events', { columns: { spend: 'float64', user_id: 'string' } }),
  features: { spend: column('float64', { default: -1 }) },
})

describe.skipIf(missing !== undefined)(`while Redis${missing ? ` (${missing})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
  let redis: TestRedis
  let server: FeatureServer

  beforeAll(async () => {
    redis = await startRedis()
    server = await startFeatureServer({
      folder,
      definitions: [defineFeatureService('users', [view])],
      versions: { 'user/1': { inputs: { spend: 'FP32' }, manifest: { featureService: 'users' } } },
      store: (platform) => createRedisOnlineStore({ platform, url: redis.url, engineOf: createWindowEngine }),
      config: {
        endpoints: {
          user: { route: version('user', 1), features: { budgetMs: 200 } },
          strict: { route: version('user', 1), features: { budgetMs: 30, lastKnownMs: 0 } },
        },
      },
    })
    for (const id of ['u1', 'u2', 'u3']) await server.put('user_view', { user_id: id }, [7])
  }, 60_000)
  afterAll(async () => {
    redis.thaw()
    await redis.kill()
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function ask(endpoint: string, id: string) {
    const startedMs = performance.now()
    const { status, json } = await call(`${server.url}/api/v1/predict/${endpoint}`, 'POST', {
      entities: { user_id: id },
    })
    const tookMs = performance.now() - startedMs
    expect(status).toBe(200)
    return { spend: JSON.parse(json.outputs.seen).spend, flags: json.flags, tookMs, id: json.id as string }
  }

  async function gapOf(id: string) {
    const record = (await server.logged()).find((one) => 'id' in one && one.id === id) as StoredPrediction
    return record.payload!.served!.groups[0]
  }

  it('answers, it is asked', async () => {
    // A machine that is busy with other tests may take longer than the budget.
    await expect.poll(() => ask('user', 'u1')).toMatchObject({ spend: 7, flags: [] })
  })

  it('is frozen, requests get what was known last, else defaults, once their budget is over', async () => {
    redis.freeze()
    const known = await ask('user', 'u1')
    expect(known).toMatchObject({ spend: 7, flags: ['features-stale'] })
    const unknown = await ask('user', 'u2')
    expect(unknown).toMatchObject({ spend: -1, flags: ['features-default'] })
    expect(await gapOf(known.id)).toMatchObject({ source: 'last-known', gap: 'timeout' })
    expect(await ask('strict', 'u1')).toMatchObject({ spend: -1, flags: ['features-default'] })
    // A loaded machine takes its time; a request that waited for Redis would take its whole deadline.
    expect(known.tookMs).toBeLessThan(1000)
  })

  it('stays frozen, they soon do not wait at all', async () => {
    for (let i = 0; i < 6; i++) await ask('user', 'u2')
    // Now and then one is a probe, and waits.
    await expect
      .poll(async () => {
        const { id, flags } = await ask('user', 'u1')
        return [flags, (await gapOf(id))?.gap]
      })
      .toEqual([['features-stale'], 'store-down'])
    await expect.poll(() => server.app.exposeMetrics()).toMatch(/ml_feature_store_circuit 2/)
  })

  it('is killed and comes back empty, they get defaults, and its rows once it has some', async () => {
    redis.thaw()
    await redis.kill()
    expect((await ask('user', 'u3')).flags).toEqual(['features-default'])
    await redis.start()
    // Probes go out a second after the circuit opened, and later each time.
    for (let tries = 0; tries < 60; tries++) {
      const { flags, id } = await ask('user', 'u3')
      expect(flags).toEqual(['features-default'])
      if ((await gapOf(id))?.gap === 'missing') break
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    await server.put('user_view', { user_id: 'u3' }, [8])
    await expect.poll(() => ask('user', 'u3')).toMatchObject({ spend: 8, flags: [] })
  })
})
