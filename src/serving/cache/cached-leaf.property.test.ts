// The cache in front of a leaf against a slow obvious model: whatever calls, failures, cancellations, deadlines, expiries, switches
// and unloads come in whatever order, nobody gets a wrong answer, and everybody gets exactly one.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeManifest, settled } from '../../../test/support/fake-backend.js'
import { hubTier } from '../../../test/support/hub-tier.js'
import { createLeaf } from '../../../test/support/leaf.js'
import { type EndpointName, ManualClock, type ModelName, silentLogger, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { Tensor, TensorMap } from '../../tensor/index.js'
import { createServingMetrics } from '../metrics.js'
import type { CachePolicy, LeafInput, LeafResult } from '../types.js'
import { AnswerCache } from './answer-cache.js'
import { createCacheHub } from './hub.js'

const TTL_MS = 1000
const POLICY: CachePolicy = {
  endpoint: 'e' as EndpointName,
  key: 'tensors',
  ttlMs: TTL_MS,
  scope: 'tenant',
  staleMs: 5000,
}

/** Each answer says which version computed it, for whom, from what and when. */
interface Call {
  readonly version: number
  readonly number: number
  readonly tenant: string
  readonly input: LeafInput
  readonly madeMs: number
  readonly limitMs: number
  answers: number
  error: string | undefined
  result: LeafResult | undefined
  endedMs: number
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      number: fc.nat(3),
      tenant: fc.constantFrom('t', 'u'),
      limitMs: fc.constantFrom(30, 200, 100_000),
      priority: fc.constantFrom('low' as const, 'normal' as const, 'high' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('finish' as const), fails: fc.nat(4) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 20, 100, 600, 1100) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('switch' as const), isOn: fc.boolean() }) },
)

async function run(steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[], isShared: boolean) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const hub = createCacheHub({ clock })
  const cache = new AnswerCache({ platform, maxBytes: 6000, tier: isShared ? hubTier(hub, 1) : undefined })
  /** When each answer was computed: a hit must not be older than its time to live, nor come from another version. */
  const computedMs: number[] = []
  let version = 0
  function next() {
    version++
    const own = version
    const compute = (batch: TensorMap): TensorMap => {
      const x = batch.get('x')!
      const stamp = computedMs.push(clock.monotonicMs()) - 1
      const rows = x.shape[0]!
      const double = Float32Array.from({ length: rows * 3 }, (_, i) =>
        i % 3 === 0 ? own : i % 3 === 1 ? (x.data as Float32Array)[Math.floor(i / 3)]! : stamp,
      )
      const tensors: Tensor[] = [
        { name: 'double', datatype: 'FP32', shape: [rows, 3], data: double },
        { name: 'sum', datatype: 'FP32', shape: [rows], data: new Float32Array(rows) },
      ]
      return new Map(tensors.map((tensor) => [tensor.name, tensor]))
    }
    const ref = { model: 'm' as ModelName, version: own }
    const backend = new FakeBackend({ clock, compute })
    const leaf = createLeaf({
      version: ref,
      digest: `sha256:${own}`,
      kind: 'fake',
      backend,
      manifest: fakeManifest({ timeoutMs: 400 }),
      cache,
      clock,
      logger: silentLogger,
      metrics: createServingMetrics(testPlatform().metrics).bind(ref),
      defer: setImmediate,
      onReadiness: () => undefined,
    })
    return { leaf, backend }
  }
  let served = next()
  const backends = [served.backend]
  const calls: Call[] = []
  for (const step of steps) {
    if (step.kind === 'call') {
      // A tenant's rows are told apart by their first number: an answer for another tenant is a wrong one.
      const number = step.number + (step.tenant === 'u' ? 10 : 0)
      const input: LeafInput = {
        ...doublerInput([[number]]),
        cache: POLICY,
        tenant: step.tenant,
        priority: step.priority,
        cancelled: false,
      }
      const call: Call = {
        version,
        number,
        tenant: step.tenant,
        input,
        madeMs: clock.monotonicMs(),
        limitMs: step.limitMs,
        answers: 0,
        error: undefined,
        result: undefined,
        endedMs: 0,
      }
      calls.push(call)
      served.leaf.call(input, Deadline.in(clock, step.limitMs)).then(
        (result) => {
          call.answers++
          call.result = result
          call.endedMs = clock.monotonicMs()
        },
        (error: { code: string }) => {
          call.answers++
          call.error = error.code
        },
      )
    } else if (step.kind === 'finish') {
      const pending = backends.flatMap((backend) => backend.pending)
      if (step.fails === 0) pending[0]?.fail(new Error('no'))
      else pending[0]?.finish()
    } else if (step.kind === 'advance') clock.advance(step.ms)
    else if (step.kind === 'cancel') {
      const call = calls[step.which]
      if (call !== undefined) call.input.cancelled = true
      served.leaf.dropCancelled()
    } else if (step.kind === 'switch') cache.switch(POLICY.endpoint, step.isOn)
    else {
      void served.leaf.close()
      served = next()
      backends.push(served.backend)
    }
    await settled()
    expect(cache.policy.bytes).toBeLessThanOrEqual(6000)
  }
  for (let i = 0; i < 40; i++) {
    for (const backend of backends) for (const run of backend.pending) run.finish()
    await settled()
    if (calls.every(({ answers }) => answers > 0) && backends.every(({ pending }) => pending.length === 0)) break
    clock.advance(500)
    await settled()
  }
  for (const call of calls) {
    expect(call.answers).toBe(1)
    if (call.error !== undefined) {
      expect([
        'SERVING_RUN_FAILED',
        'SERVING_RUN_TIMEOUT',
        'SERVING_DEADLINE_EXCEEDED',
        'SERVING_OVERLOADED',
        'SERVING_CANCELLED',
        'SERVING_MODEL_UNREADY',
      ]).toContain(call.error)
      if (call.error === 'SERVING_CANCELLED') expect(call.input.cancelled).toBe(true)
      continue
    }
    const [by, of, stamp] = call.result!.outputs.get('double')!.data as Float32Array
    expect(by).toBe(call.version)
    expect(of).toBe(call.number)
    if (call.result!.cached === 'hit') expect(call.madeMs - computedMs[stamp!]!).toBeLessThanOrEqual(TTL_MS)
    else expect(call.endedMs - call.madeMs).toBeLessThanOrEqual(call.limitMs)
  }
  // What is remembered is right for its tenant, and no older than it says.
  for (const tenant of ['t', 'u'])
    for (let number = 0; number < 4; number++) {
      const wanted = number + (tenant === 'u' ? 10 : 0)
      const known = cache.lastKnown(POLICY, { ...doublerInput([[wanted]]), tenant })
      if (known === undefined) continue
      const [by, of, stamp] = known.outputs.get('double')!.data as Float32Array
      expect([by, of]).toEqual([known.version.version, wanted])
      expect(known.ageMs).toBe(clock.monotonicMs() - computedMs[stamp!]!)
    }
  await served.leaf.close()
  expect(cache.policy.bytes).toBe(0)
}

it('gives nobody a wrong answer and everybody exactly one, whatever happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => run(steps, false)),
    { numRuns: 200 },
  )
})

it('does so as well behind a hub', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => run(steps, true)),
    { numRuns: 100 },
  )
})
