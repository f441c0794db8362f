import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { type LeafFixture, leafContract } from '../../../test/contract/leaf.js'
import {
  computeDouble,
  DOUBLER,
  doublerInput,
  FakeBackend,
  type FakeBackendOptions,
  fakeManifest,
  settled,
} from '../../../test/support/fake-backend.js'
import { createLeaf } from '../../../test/support/leaf.js'
import {
  type EndpointName,
  ManualClock,
  type ModelName,
  type Platform,
  silentLogger,
  systemClock,
  testPlatform,
} from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { Tensor, TensorMap } from '../../tensor/index.js'
import { createServingMetrics } from '../metrics.js'
import type { CachePolicy, LeafInput, LeafResult } from '../types.js'
import { AnswerCache } from './answer-cache.js'
import type { AnswerCacheOptions } from './cache-core.js'

const POLICY: CachePolicy = {
  endpoint: 'e' as EndpointName,
  key: 'tensors',
  ttlMs: 3_600_000,
  scope: 'tenant',
  staleMs: 86_400_000,
}

function versionLeaf(platform: Platform, cache: AnswerCache, version: number, options: Partial<FakeBackendOptions>) {
  const ref = { model: 'fraud' as ModelName, version }
  const backend = new FakeBackend({ clock: platform.clock, ...options })
  const leaf = createLeaf({
    version: ref,
    digest: `sha256:${version}`,
    kind: 'fake',
    backend,
    manifest: fakeManifest(),
    cache,
    clock: platform.clock,
    logger: silentLogger,
    metrics: createServingMetrics(testPlatform().metrics).bind(ref),
    defer: setImmediate,
    onReadiness: () => undefined,
  })
  return { leaf, backend }
}

function setUp(options: Partial<AnswerCacheOptions & FakeBackendOptions> = {}) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const cache = new AnswerCache({ platform, ...options })
  const fixture = versionLeaf(platform, cache, 1, { runMs: 'hold' as never, ...options })
  const call = (numbers: readonly number[], parts: Partial<LeafInput> & { forMs?: number } = {}) => {
    const { forMs, ...rest } = parts
    const deadline = forMs === undefined ? Deadline.none(clock) : Deadline.in(clock, forMs)
    return fixture.leaf.call({ ...doublerInput([numbers]), cache: POLICY, tenant: 't', ...rest }, deadline)
  }
  const finish = async () => {
    await settled()
    for (const run of fixture.backend.pending) run.finish()
    await settled()
  }
  const answered = async (numbers: readonly number[], parts: Partial<LeafInput> = {}) => {
    const answer = call(numbers, parts)
    await finish()
    return answer
  }
  return { clock, platform, cache, ...fixture, call, finish, answered }
}

const doubled = ({ outputs }: LeafResult) => [...(outputs.get('double')!.data as Float32Array)]

describe('a cached answer', () => {
  it('is given again without a run, flagged as a hit', async () => {
    const { answered, call, backend } = setUp()
    expect((await answered([1, 2])).cached).toBeUndefined()
    const hit = await call([1, 2])
    expect(hit.cached).toBe('hit')
    expect(doubled(hit)).toEqual([2, 4])
    expect(backend.runs).toHaveLength(1)
  })

  it('is not given to another tenant, unless the policy shares', async () => {
    const { answered, backend } = setUp()
    await answered([1])
    expect((await answered([1], { tenant: 'other' })).cached).toBeUndefined()
    const cache = { ...POLICY, scope: 'shared' as const, endpoint: 'shared' as EndpointName }
    await answered([1], { cache })
    expect((await answered([1], { tenant: 'other', cache })).cached).toBe('hit')
    expect(backend.runs).toHaveLength(3)
  })

  it('is not given to another endpoint, nor for other outputs', async () => {
    const { answered, backend } = setUp()
    await answered([1])
    await answered([1], { cache: { ...POLICY, endpoint: 'f' as EndpointName } })
    expect([...(await answered([1], { outputs: ['sum'] })).outputs.keys()]).toEqual(['sum'])
    expect(backend.runs).toHaveLength(3)
  })

  it('is never given by another version, and its memory comes back when its version is unloaded', async () => {
    const { platform, cache, answered, leaf, call } = setUp()
    await answered([1])
    const other = versionLeaf(platform, cache, 2, { runMs: 0 })
    const deadline = Deadline.none(platform.clock)
    const input = { ...doublerInput([[1]]), cache: POLICY, tenant: 't' }
    expect((await other.leaf.call(input, deadline)).cached).toBeUndefined()
    expect(cache.policy.entries).toBe(2)
    const closed = leaf.close()
    expect(cache.policy.entries).toBe(1)
    await closed
    await expect(call([1])).rejects.toMatchObject({ code: 'SERVING_MODEL_UNREADY' })
    expect((await other.leaf.call(input, deadline)).cached).toBe('hit')
  })

  it('expires', async () => {
    const { clock, answered, backend } = setUp()
    await answered([1])
    clock.advance(3_600_000)
    expect((await answered([1])).cached).toBeUndefined()
    expect(backend.runs).toHaveLength(2)
  })

  it('is in memory of its own, apart from the batch it came from and from what its first caller holds', async () => {
    const { call, finish } = setUp()
    const [first] = [call([1, 2]), call([3, 4])]
    await finish()
    const own = (await first).outputs.get('double')!.data as Float32Array
    const kept = (await call([1, 2])).outputs.get('double')!.data as Float32Array
    expect(own.buffer.byteLength).toBe(16)
    expect(kept.buffer.byteLength).toBe(8)
    own.fill(99)
    expect(doubled(await call([1, 2]))).toEqual([2, 4])
  })

  it('is kept for NaN, for which it is the same answer again', async () => {
    const { answered, backend } = setUp()
    await answered([Number.NaN, -0])
    expect((await answered([Number.NaN, -0])).cached).toBe('hit')
    expect((await answered([Number.NaN, 0])).cached).toBeUndefined()
    expect(backend.runs).toHaveLength(2)
  })

  it('is not kept when it is larger than the budget', async () => {
    const { answered, cache } = setUp({ maxBytes: 10_000, staleMaxBytes: 10_000 })
    await answered(new Array(5000).fill(1))
    expect(cache.policy.bytes).toBe(0)
    expect(cache.remembered.bytes).toBe(0)
    expect((await answered(new Array(5000).fill(1))).cached).toBeUndefined()
  })

  it('is not kept for a call without a policy', async () => {
    const { answered, cache } = setUp()
    await answered([1], { cache: undefined })
    expect(cache.policy.entries).toBe(0)
  })

  it('is refused when the deadline has passed, like any other', async () => {
    const { answered, call } = setUp()
    await answered([1])
    await expect(call([1], { forMs: -1 })).rejects.toMatchObject({ code: 'SERVING_DEADLINE_EXCEEDED' })
  })

  it('weighs about what the heap says it weighs', async () => {
    const { answered, cache, backend } = setUp({ runMs: 0, staleMaxBytes: 0 })
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    await answered([0, 0])
    gc()
    const used = () => process.memoryUsage().heapUsed + process.memoryUsage().external
    const before = used()
    for (let i = 0; i < 5000; i++) {
      await answered([1, i])
      backend.runs.length = 0
    }
    gc()
    const measured = used() - before
    expect(cache.policy.bytes / measured).toBeGreaterThan(0.7)
    expect(cache.policy.bytes / measured).toBeLessThan(1.5)
  })
})

describe('identical calls in flight', () => {
  it('share one run: a thousand callers, one run', async () => {
    const { call, finish, backend } = setUp()
    const calls = Array.from({ length: 1000 }, () => call([7]))
    await finish()
    const results = await Promise.all(calls)
    expect(backend.runs).toHaveLength(1)
    expect(backend.runs[0]!.rows).toBe(1)
    expect(results.filter(({ cached }) => cached === undefined)).toHaveLength(1)
    expect(results.filter(({ cached }) => cached === 'coalesced')).toHaveLength(999)
    for (const result of results) expect(doubled(result)).toEqual([14])
  })

  it('share its error, which is not kept', async () => {
    const { call, backend, answered } = setUp()
    const calls = [call([7]), call([7])]
    await settled()
    backend.runs[0]!.fail(new Error('no'))
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'SERVING_RUN_FAILED' } })
    expect(doubled(await answered([7]))).toEqual([14])
  })

  it('go on when the first caller goes away, and stop when all have', async () => {
    const { leaf, call, finish, backend } = setUp()
    const busy = call([1])
    await settled()
    const first: LeafInput = { ...doublerInput([[7]]), cache: POLICY, tenant: 't', cancelled: false }
    const cancelled = leaf.call(first, Deadline.none(systemClock))
    const second = call([7])
    const alone: LeafInput = { ...doublerInput([[8]]), cache: POLICY, tenant: 't', cancelled: false }
    const dropped = leaf.call(alone, Deadline.none(systemClock))
    first.cancelled = true
    alone.cancelled = true
    leaf.dropCancelled()
    await expect(cancelled).rejects.toMatchObject({ code: 'SERVING_CANCELLED' })
    await expect(dropped).rejects.toMatchObject({ code: 'SERVING_CANCELLED' })
    await finish()
    await finish()
    await busy
    expect(doubled(await second)).toEqual([14])
    expect(backend.runs).toHaveLength(2)
    expect(backend.runs[1]!.rows).toBe(1)
  })

  it("go on when the first caller's deadline passes: another takes over", async () => {
    const { clock, call, finish, backend } = setUp()
    const busy = call([1])
    await settled()
    const first = call([7], { forMs: 50 })
    const second = call([7], { forMs: 500 })
    clock.advance(51)
    await expect(first).rejects.toMatchObject({ code: 'SERVING_DEADLINE_EXCEEDED' })
    await finish()
    await finish()
    await busy
    expect(doubled(await second)).toEqual([14])
    expect(backend.runs).toHaveLength(2)
  })

  it('let a caller whose own deadline is shorter end alone', async () => {
    const { clock, call, finish } = setUp()
    const patient = call([7], { forMs: 500 })
    const hasty = call([7], { forMs: 50 })
    await settled()
    clock.advance(51)
    await expect(hasty).rejects.toMatchObject({ code: 'SERVING_DEADLINE_EXCEEDED' })
    await finish()
    expect(doubled(await patient)).toEqual([14])
  })

  it('do not keep somebody of higher priority behind a run of lower priority', async () => {
    const { call, finish, backend } = setUp()
    const busy = call([1])
    await settled()
    const low = call([7], { priority: 'low' })
    const others = Array.from({ length: 3 }, (_, i) => call([100 + i], { priority: 'normal' }))
    const high = call([7], { priority: 'high' })
    await finish()
    await finish()
    await Promise.all([busy, low, high, ...others])
    const x = backend.runs.map(({ batch }) => [...(batch.get('x')!.data as Float32Array)])
    expect(x[1]![0]).toBe(7)
    expect(x.flat().filter((value) => value === 7)).toHaveLength(1)
  })

  it('are answered when their version is unloaded meanwhile, and nothing of it is kept', async () => {
    const { leaf, cache, call, finish } = setUp()
    const calls = [call([7]), call([7])]
    const closing = leaf.close()
    await finish()
    for (const result of await Promise.all(calls)) expect(doubled(result)).toEqual([14])
    await closing
    expect(cache.policy.entries).toBe(0)
  })
})

describe('a popular answer near its end', () => {
  it('is renewed once, in the background, while the old one is still given', async () => {
    const { clock, call, finish, backend, platform } = setUp()
    const first = call([1])
    await settled()
    // It cost a minute, so the last minutes of its hour are when it is renewed.
    clock.advance(20_000)
    await finish()
    await first
    clock.advance(3_599_990)
    const hits = await Promise.all(Array.from({ length: 200 }, () => call([1])))
    expect(hits.every(({ cached }) => cached === 'hit')).toBe(true)
    await settled()
    expect(backend.runs).toHaveLength(2)
    await finish()
    clock.advance(20_000)
    expect((await call([1])).cached).toBe('hit')
    const text = await platform.metrics.expose()
    expect(text).toContain('ml_cache_requests_total{endpoint="e",result="refresh"} 1')
    expect(text).toContain('ml_cache_requests_total{endpoint="e",result="hit"} 200')
    expect(text).toContain('ml_cache_requests_total{endpoint="e",result="miss"} 1')
  })

  it('is computed as usual when its renewal failed', async () => {
    const { clock, call, finish, backend, answered } = setUp()
    const first = call([1])
    await settled()
    clock.advance(20_000)
    await finish()
    await first
    clock.advance(3_599_990)
    await Promise.all(Array.from({ length: 200 }, () => call([1])))
    await settled()
    backend.pending[0]!.fail(new Error('no'))
    await settled()
    clock.advance(11)
    expect((await answered([1])).cached).toBeUndefined()
  })
})

describe('the last known answer', () => {
  it('is found across versions, with its age, until it is too old', async () => {
    const { clock, cache, answered, leaf } = setUp()
    await answered([1])
    await leaf.close()
    clock.advance(5000)
    const input = { ...doublerInput([[1]]), tenant: 't' }
    expect(cache.lastKnown(POLICY, input)).toMatchObject({ ageMs: 5000, version: { model: 'fraud', version: 1 } })
    expect(cache.lastKnown(POLICY, input, 4999)).toBeUndefined()
    expect(cache.lastKnown({ ...POLICY, staleMs: 4999 }, input)).toBeUndefined()
    expect(cache.lastKnown(POLICY, { ...input, tenant: 'other' })).toBeUndefined()
    expect(cache.lastKnown(POLICY, doublerInput([[2]]))).toBeUndefined()
  })

  it('is not what a shadow answered', async () => {
    const { cache, answered } = setUp()
    await answered([1], { feedsLastKnown: false })
    expect(cache.lastKnown(POLICY, { ...doublerInput([[1]]), tenant: 't' })).toBeUndefined()
    expect(cache.policy.entries).toBe(1)
  })

  it('is one that was kept for something else, once a caller was given it from the cache', async () => {
    const { clock, cache, answered } = setUp({ runMs: 0 })
    await answered([1], { feedsLastKnown: false })
    clock.advance(1000)
    expect((await answered([1])).cached).toBe('hit')
    clock.advance(1000)
    expect(cache.lastKnown(POLICY, { ...doublerInput([[1]]), tenant: 't' })?.ageMs).toBe(2000)
  })

  it('can be told, and has an age like any other', () => {
    const { clock, cache } = setUp()
    const input = { ...doublerInput([[1]]), tenant: 't' }
    const outputs = new Map(input.tensors)
    const both = { model: 'both' as ModelName, version: 0 }
    cache.remember({ ...POLICY, staleMs: 0 }, input, outputs, both)
    expect(cache.lastKnown(POLICY, input)).toBeUndefined()
    cache.remember(POLICY, input, outputs, both)
    clock.advance(7)
    expect(cache.lastKnown(POLICY, input)).toMatchObject({ ageMs: 7, version: both })
    cache.switch(POLICY.endpoint, false)
    cache.remember(POLICY, input, outputs, both)
    expect(cache.lastKnown(POLICY, input)).toBeUndefined()
  })

  it('is the newest, and keeps within its budget', async () => {
    const { clock, cache, answered } = setUp({ staleMaxBytes: 20_000, runMs: 0 })
    for (let i = 0; i < 100; i++) await answered([i])
    expect(cache.remembered.bytes).toBeLessThanOrEqual(20_000)
    expect(cache.remembered.bytes).toBeGreaterThan(15_000)
    expect(cache.lastKnown(POLICY, { ...doublerInput([[99]]), tenant: 't' })).toBeDefined()
    expect(cache.lastKnown(POLICY, { ...doublerInput([[0]]), tenant: 't' })).toBeUndefined()
    clock.advance(POLICY.ttlMs + 1)
    await answered([99])
    expect(cache.lastKnown(POLICY, { ...doublerInput([[99]]), tenant: 't' })?.ageMs).toBe(0)
  })
})

describe('an endpoint whose requests do not repeat', () => {
  const switchOff = { hitRate: 0.05, minRequests: 100, windowMs: 60_000, holdMs: 600_000 }

  it('is reported once with its evidence, after enough requests and enough time', async () => {
    const found: unknown[] = []
    const { clock, answered } = setUp({ runMs: 0, switchOff, onUseless: (finding) => found.push(finding) })
    for (let i = 0; i < 150; i++) await answered([i])
    expect(found).toEqual([])
    clock.advance(60_000)
    await answered([1])
    await answered([1000])
    expect(found).toEqual([{ endpoint: 'e', hitRate: 1 / 152, requests: 152, windowMs: 60_000, leastHitRate: 0.05 }])
  })

  it('is left alone when enough of them repeat', async () => {
    const found: unknown[] = []
    const { clock, answered } = setUp({ runMs: 0, switchOff, onUseless: (finding) => found.push(finding) })
    for (let i = 0; i < 150; i++) await answered([i % 100])
    clock.advance(60_000)
    await answered([1000])
    expect(found).toEqual([])
  })

  it('asks its model each time once it is switched off, and is left alone for a while once it is switched on again', async () => {
    const found: unknown[] = []
    const { clock, cache, answered, backend } = setUp({
      runMs: 0,
      switchOff,
      onUseless: (finding) => found.push(finding),
    })
    await answered([1])
    cache.switch(POLICY.endpoint, false)
    expect(cache.policy.entries).toBe(0)
    expect(cache.remembered.bytes).toBe(0)
    await answered([1])
    await answered([1])
    expect(backend.runs).toHaveLength(3)
    cache.switch(POLICY.endpoint, true)
    const useless = async () => {
      for (let i = 0; i < 120; i++) await answered([i])
      clock.advance(60_000)
      cache.policy.miss(0)
      await answered([9999 + clock.monotonicMs()])
    }
    await useless()
    expect(found).toEqual([])
  })
})

function compute(batch: TensorMap): TensorMap {
  if ((batch.get('x')!.data as Float32Array).includes(13)) throw new Error('13 is bad luck')
  return computeDouble(batch)
}

describe('a leaf behind a cache', () => {
  leafContract(async (): Promise<LeafFixture> => {
    const platform = testPlatform({ clock: systemClock })
    const cache = new AnswerCache({ platform })
    const { leaf } = versionLeaf(platform, cache, 1, { compute, runMs: 1 })
    const row = (number: number): ReadonlyMap<string, Tensor> => doublerInput([[number / 4, 100 + number]]).tensors
    return {
      leaf: {
        version: leaf.version,
        call: (input, deadline) => leaf.call({ ...input, cache: POLICY, tenant: 't' }, deadline),
      },
      signature: DOUBLER,
      row,
      tolerance: 0,
      manyRows: 50,
      poison: doublerInput([[13, 13]]).tensors,
    }
  })
})
