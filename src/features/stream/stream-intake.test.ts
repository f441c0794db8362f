import { describe, expect, it, onTestFinished } from 'vitest'
import { openFlow } from '../../../test/support/feature-flow.js'
import { kafkaMissing, startKafka } from '../../../test/support/kafka.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { createPlatform, type Platform } from '../../core/index.js'
import { createKafkaStream, createMemoryStream, type Stream } from '../../store/index.js'
import { createWindowEngine } from '../aggregate/engine.js'
import { count, defineEntity, defineFeatureView, kafkaSource, sum } from '../index.js'
import { createMemoryOnlineStore } from '../online/memory-online-store.js'
import { createStreamIntake } from './stream-intake.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const clicks = kafkaSource('clicks', { topic: 'clicks', columns: { user_id: 'string', amount: 'float64' } })
const activity = defineFeatureView('activity', {
  entities: [user],
  stream: clicks,
  features: { n: count({ over: '1d' }), total: sum('amount', { over: '1d' }) },
})
const USERS = 8

/** Two replicas that share a store, as they share Redis; each has its own event log. */
async function replicas(platform: Platform, streams: readonly Stream[]) {
  const engines = new Map<string, ReturnType<typeof createWindowEngine>>()
  const store = await createMemoryOnlineStore({
    platform,
    engineOf: (view) => {
      const engine = engines.get(view.name) ?? createWindowEngine(view)
      engines.set(view.name, engine)
      return engine
    },
  })
  const made = []
  for (const stream of streams) {
    const flow = await openFlow({
      folder: tempFolder(),
      definitions: [activity],
      platform: { ...createPlatform() },
      store,
    })
    await flow.openAll()
    const intake = createStreamIntake({
      platform: flow.platform,
      project: flow.project,
      stream,
      ingestor: flow.ingestor,
      quarantine: { put: async (rows) => void flow.quarantined.push(...rows) },
    })
    onTestFinished(async () => {
      await intake.close()
      await flow.close()
    })
    made.push({ ...flow, intake })
  }
  return made
}

async function sharesAndHandsOver(platform: Platform, streams: readonly [Stream, Stream]): Promise<void> {
  const [a, b] = await replicas(platform, streams)
  const sent = new Map<string, number>()
  const send = async (n: number) => {
    const records = Array.from({ length: n }, (_, i) => {
      const user_id = `u${i % USERS}`
      sent.set(user_id, (sent.get(user_id) ?? 0) + 1)
      return { key: user_id, value: JSON.stringify({ user_id, amount: 2 }), timestampMs: platform.clock.nowMs() - 1000 }
    })
    await streams[0].send('clicks', records)
  }
  const whole = async () => {
    const atMs = platform.clock.nowMs() + 1
    const read = await Promise.all(
      [...sent.keys()].map(async (key) => [key, (await a!.read('activity', key, atMs)) ?? []]),
    )
    return Object.fromEntries(read) as Record<string, unknown>
  }
  const expected = () => Object.fromEntries([...sent].map(([key, n]) => [key, [n, 2 * n]]))
  const slow = { timeout: 60_000, interval: 200 }
  await send(400)
  await a!.intake.start()
  await expect.poll(whole, slow).toEqual(expected())
  await b!.intake.start()
  for (let i = 0; i < 10; i++) await send(40)
  await expect.poll(whole, slow).toEqual(expected())
  await streams[0].send('clicks', [{ key: 'u1', value: 'no json' }])
  await a!.intake.close()
  await send(100)
  await expect.poll(whole, slow).toEqual(expected())
  await expect
    .poll(() => [...a!.quarantined, ...b!.quarantined].map(({ reason }) => reason), slow)
    .toEqual(['FEATURE_EVENT_UNREADABLE'])
}

describe('the intake of a topic', () => {
  it('counts each record once while replicas share partitions and hand them over', { timeout: 180_000 }, async () => {
    const platform = createPlatform()
    const stream = createMemoryStream({ platform })
    await sharesAndHandsOver(platform, [stream, stream])
  })

  it('says that records are not keyed by their entity', async () => {
    const platform = createPlatform()
    const stream = createMemoryStream({ platform })
    const [a] = await replicas(platform, [stream])
    await stream.send('clicks', [{ key: 'session', value: '{"user_id":"ann","amount":1}' }])
    await a!.intake.start()
    await expect
      .poll(() => a!.platform.metrics.expose())
      .toContain('ml_feature_unkeyed_records_total{source="clicks"} 1')
    expect(await a!.read('activity', 'ann', platform.clock.nowMs() + 1)).toEqual([1, 1])
  })

  const missing = kafkaMissing()
  it.skipIf(missing !== undefined)(
    `does the same with a real broker${missing === undefined ? '' : ` (skipped: ${missing})`}`,
    { timeout: 240_000 },
    async () => {
      const kafka = await startKafka()
      onTestFinished(() => kafka.close())
      await kafka.createTopic('clicks')
      const platform = createPlatform()
      const streams = [0, 1].map(() => createKafkaStream({ platform, brokers: kafka.brokers }))
      onTestFinished(async () => {
        for (const stream of streams) await stream.close()
      })
      await sharesAndHandsOver(platform, [streams[0]!, streams[1]!])
    },
  )
})
