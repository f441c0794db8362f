import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeManifest } from '../../test/support/fake-backend.js'
import { createLeaf } from '../../test/support/leaf.js'
import { type EndpointName, ManualClock, type ModelName, silentLogger, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import { AnswerCache } from './cache/answer-cache.js'
import { createServingMetrics } from './metrics.js'
import { VersionStatistics } from './statistics.js'
import type { CachePolicy, LeafInput } from './types.js'

const ref = { model: 'm' as ModelName, version: 1 }
const POLICY: CachePolicy = {
  endpoint: 'e' as EndpointName,
  key: 'tensors',
  ttlMs: 60_000,
  scope: 'tenant',
  staleMs: 0,
}

function setUp() {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const serving = createServingMetrics(platform.metrics)
  const metrics = serving.bind(ref)
  const backend = new FakeBackend({ clock, runMs: 'hold' as never })
  const leaf = createLeaf({
    version: ref,
    digest: 'sha256:1',
    kind: 'fake',
    backend,
    manifest: fakeManifest(),
    cache: new AnswerCache({ platform }),
    clock,
    logger: silentLogger,
    metrics,
    defer: setImmediate,
    onReadiness: () => undefined,
  })
  const call = (numbers: readonly number[], parts: Partial<LeafInput> = {}, forMs = 100_000) =>
    leaf.call({ ...doublerInput(numbers.map((number) => [number])), tenant: 't', ...parts }, Deadline.in(clock, forMs))
  const settle = async () => {
    for (let i = 0; i < 5; i++) await turn()
  }
  const finish = async () => {
    await settle()
    for (const run of backend.pending) run.finish()
    await settle()
  }
  return { clock, backend, leaf, call, settle, finish, statistics: metrics.statistics, serving }
}

describe('the statistics of a version', () => {
  it('count requests by requests, rows by rows and a run that several shared once', async () => {
    const { clock, call, settle, finish, statistics } = setUp()
    const answers = [call([1]), call([2]), call([3, 4, 5])]
    clock.advance(2)
    await settle()
    clock.advance(10)
    await finish()
    await Promise.all(answers)
    const { success, queue, computeInfer, batches } = statistics
    const requests = [success.count, queue.count, computeInfer.count]
    expect(requests).toEqual([3, 3, 3])
    expect(statistics.rows).toBe(5)
    expect(statistics.executions).toBe(1)
    // Each of them took all of the run, and waited two milliseconds for it.
    expect(computeInfer.ns).toBe(30e6)
    expect(queue.ns).toBe(6e6)
    expect(success.ns).toBe(36e6)
    expect([...batches.keys()]).toEqual([5])
    expect(batches.get(5)!.computeInfer).toMatchObject({ count: 1, ns: 10e6 })
    expect(statistics.lastInferenceMs).toBe(12)
  })

  it('say who waits, and nobody when the version is closed', async () => {
    const { call, leaf, finish, settle, statistics } = setUp()
    const first = call([1])
    await settle()
    const second = call([2])
    await settle()
    expect(statistics.pending).toBe(1)
    const closed = leaf.close()
    await finish()
    await finish()
    await Promise.all([first, second, closed])
    expect(statistics.pending).toBe(0)
  })

  it('count answers from the cache, and identical calls that shared a run, as hits', async () => {
    const { call, finish, statistics } = setUp()
    const shared = [call([1], { cache: POLICY }), call([1], { cache: POLICY })]
    await finish()
    await Promise.all(shared)
    await call([1], { cache: POLICY })
    expect(statistics.cacheMiss.count).toBe(1)
    expect(statistics.cacheHit.count).toBe(2)
    expect(statistics.success.count).toBe(3)
    expect(statistics.computeInfer.count).toBe(1)
    expect([statistics.rows, statistics.executions]).toEqual([1, 1])
  })

  it('count every failure once, by who is to blame', async () => {
    const { clock, call, backend, settle, finish, statistics } = setUp()
    const codes: string[] = []
    const failing = (answer: Promise<unknown>) => answer.catch(({ code }) => void codes.push(code))
    const failed = failing(call([1]))
    await settle()
    backend.pending[0]!.fail(new Error('no'))
    await failed
    const running = call([1])
    await settle()
    const late = failing(call([2], {}, 5))
    clock.advance(6)
    await late
    await failing(call([1], { outputs: ['absent'] }))
    await finish()
    await running
    expect(codes).toEqual(['SERVING_RUN_FAILED', 'SERVING_DEADLINE_EXCEEDED', 'TENSOR_OUTPUT_UNKNOWN'])
    expect(statistics.failures).toEqual({ rejected: 1, canceled: 0, backend: 1, other: 1 })
    expect(statistics.fail.count).toBe(3)
    expect(statistics.success.count).toBe(1)
  })

  it('go on when the version is forgotten and bound again', () => {
    const { serving, statistics } = setUp()
    statistics.succeeded(1, 1)
    serving.forget(ref)
    expect(serving.bind(ref).statistics).toBe(statistics)
    expect(serving.statistics.get(ref)?.success.count).toBe(1)
  })

  it('keep few sizes of runs, whatever sizes callers choose', () => {
    const statistics = new VersionStatistics()
    for (let rows = 1; rows <= 5000; rows++) statistics.ran(rows, 1, 0, 1, 0, 0)
    expect(statistics.batches.size).toBeLessThan(1040)
    let runs = 0
    for (const { computeInfer } of statistics.batches.values()) runs += computeInfer.count
    expect(runs).toBe(5000)
  })
})
