import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Happened } from '../../test/contract/route-oracle.js'
import { routeRunContract } from '../../test/contract/route-run.js'
import { answerOf, Behaviours, type Case, failureOf, LAST_KNOWN, MODELS } from '../../test/contract/route-world.js'
import { VirtualClock } from '../../test/support/virtual-clock.js'
import { type EndpointName, HeadraceError, type ModelName, testPlatform } from '../core/index.js'
import type { Deadline } from '../flow/index.js'
import type { LateCallRecord, LogRecord, PredictionLog, PredictionRecord } from '../log/index.js'
import {
  cascade,
  compileRoute,
  constant,
  ensemble,
  fallback,
  fastest,
  lastKnown,
  type RouteNode,
  shadow,
  split,
  version,
} from '../route/index.js'
import type {
  CachePolicy,
  LastKnownAnswer,
  LeafInput,
  LeafResult,
  PredictionCache,
  ServedVersion,
} from '../serving/index.js'
import type { Signature, Tensor, TensorMap } from '../tensor/index.js'
import { DrivenCall } from './driven-call.js'
import type { Endpoint, Versions } from './endpoint.js'
import type { BreakerChange } from './health.js'
import { createPath, type PathOptions } from './path.js'
import { Prediction, type PredictionRequest } from './prediction.js'

const SIGNATURE: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }],
  outputs: [
    { name: 'p', datatype: 'FP64', shape: [-1, 2] },
    { name: 'label', datatype: 'INT32', shape: [-1, 1] },
  ],
  batchAxis: 0,
}
/** Of a meta-model: it eats the arms' probabilities. */
const META: Signature = { ...SIGNATURE, inputs: [{ name: 'p', datatype: 'FP64', shape: [-1, -1] }] }
const X: Tensor = { name: 'x', datatype: 'FP32', shape: [1, 1], data: new Float32Array(1) }
const CACHE: CachePolicy = { endpoint: 'e' as EndpointName, key: 'tensors', ttlMs: 1, scope: 'shared', staleMs: 1000 }

type Call = (input: LeafInput, deadline: Deadline) => Promise<TensorMap | LeafResult>

interface Model {
  readonly call: Call
  readonly expectedMs?: (() => number | undefined) | undefined
  readonly cost?: number
  readonly signature?: Signature
}

function served(model: string, { call, expectedMs, cost, signature = SIGNATURE }: Model): ServedVersion {
  const ref = { model: model as ModelName, version: 1 }
  return {
    ref,
    key: `${model}/1`,
    kind: 'onnx',
    digest: 'sha256:0',
    signature,
    manifest: { features: undefined, outputs: { p: 'probabilities', label: 'value' }, cost } as never,
    labels: undefined,
    isolation: 'inline',
    leaf: {
      version: ref,
      async call(input, deadline) {
        const answer = await call(input, deadline)
        return answer instanceof Map
          ? { outputs: answer, queueMs: 1, computeMs: 2, batchRows: 1 }
          : (answer as LeafResult)
      },
      ...(expectedMs ? { expectedMs } : undefined),
    },
  }
}

function setUp(
  route: RouteNode,
  models: Readonly<Record<string, Model>>,
  options: Partial<PathOptions> & {
    deadlineMs?: number
    hasCache?: boolean
    draw?: number
    seen?: Map<string, ServedVersion>
  } = {},
) {
  const clock = new VirtualClock()
  const { draw } = options
  const platform = testPlatform({
    clock,
    ...(draw === undefined ? undefined : { random: { next: () => draw, uint32: () => 0 } }),
  })
  const records: LogRecord[] = []
  const log: PredictionLog = {
    append: (record) => records.push(record),
    durableThrough: () => 0,
    whenDurable: async () => {},
    subscribe: () => () => {},
  }
  const loaded = new Map(Object.entries(models).map(([name, model]) => [name, served(name, model)]))
  const versions: Versions = {
    resolve({ model }) {
      const found = loaded.get(model)
      if (found) return found
      throw new HeadraceError('SERVING_MODEL_NOT_FOUND', 'not found', 404, false, 'info', {})
    },
    there: ({ model }) => loaded.get(model),
    lastSeen: ({ model }) => options.seen?.get(model),
    wake: () => undefined,
  }
  const deferred: (() => void)[] = []
  const path = createPath({
    platform,
    log,
    versions,
    defer: (callback) => deferred.push(callback),
    ...options,
  })
  const endpoint: Endpoint = {
    name: 'e' as EndpointName,
    route: compileRoute(route),
    deadlineMs: options.deadlineMs ?? 1000,
    ack: 'none',
    cache: options.hasCache ? CACHE : undefined,
  }
  let ids = 0
  const start = (over: Partial<PredictionRequest> = {}) => {
    const prediction = new Prediction({
      id: `id-${ids++}`,
      endpoint,
      protocol: 'oip',
      tenant: 'default',
      unit: undefined,
      traceId: undefined,
      tensors: new Map([['x', X]]),
      rawInputs: undefined,
      outputs: undefined,
      pinned: undefined,
      timeoutMs: undefined,
      arrivedMs: clock.monotonicMs(),
      shaper: (shaped) => {
        shaped.reply = 'reply'
      },
      wire: undefined,
      ...over,
    })
    return { prediction, done: path.predict(prediction) }
  }
  const flush = async () => {
    for (let i = 0; i < 40; i++) await Promise.resolve()
  }
  /** Plays until `isDone`, or until nothing happens any more. */
  const play = async (isDone = () => false) => {
    await flush()
    for (;;) {
      if (deferred.length > 0) deferred.shift()!()
      else if (isDone() || !clock.step()) return
      await flush()
    }
  }
  const predict = async (over: Partial<PredictionRequest> = {}) => {
    const { prediction, done } = start(over)
    let isDone = false
    void done.then(() => (isDone = true))
    await play(() => isDone)
    return prediction
  }
  const predictions = () => records.filter((record): record is PredictionRecord => record.kind === 'prediction')
  const late = () => records.filter((record): record is LateCallRecord => record.kind === 'call')
  return { clock, platform, path, versions, predict, start, play, flush, predictions, late, deferred }
}

describe('a driven route', () => {
  routeRunContract({
    numRuns: 300,
    // Circuits, budgets and what is learnt of latencies are tested below.
    adapt: (given) => ({
      ...given,
      open: [],
      expected: Object.fromEntries([...MODELS, 'meta'].map((name) => [name, given.expected[name] ?? 60])),
      hasRetries: true,
      hasShadowPlaces: true,
    }),
    run: drive,
  })

  /** The real path, on virtual time, in the world of the case. */
  async function drive(given: Case): Promise<Happened> {
    const behaviours = new Behaviours(given.behaviours)
    const calls: string[] = []
    const shadowCalls: string[] = []
    let clock!: VirtualClock
    const model = (name: string): Model => ({
      ...(name === 'meta' ? { signature: META } : undefined),
      expectedMs: () => given.expected[name],
      call: (input, deadline) =>
        new Promise((resolve, reject) => {
          const { outcome, latencyMs, confidence } = behaviours.take(version(name, 1))
          const role = input instanceof DrivenCall ? input.step.role : 'primary'
          const text = `${name} ${role} ${clock.monotonicMs().toFixed(6)} ${deadline.atMs.toFixed(6)}`
          if (role === 'shadow') shadowCalls.push(text)
          else calls.push(text)
          if (outcome !== 'hang')
            clock.after(latencyMs, () =>
              outcome === 'ok' ? resolve(answerOf(name, confidence)) : reject(failureOf(outcome)),
            )
          // A call that is not driven has nobody but its leaf to keep its deadline.
          if (!(input instanceof DrivenCall))
            clock.after(deadline.remainingMs(), () =>
              reject(new HeadraceError('ROUTE_DEADLINE_EXCEEDED', 'late', 504, true, 'info', {})),
            )
        }),
    })
    const world = setUp(given.tree, Object.fromEntries([...MODELS, 'meta'].map((name) => [name, model(name)])), {
      deadlineMs: given.deadlineMs,
      hasCache: true,
      draw: given.draw,
      answers: {
        lastKnown: () =>
          given.hasLastKnown
            ? { outputs: LAST_KNOWN, ageMs: 1, version: { model: 'm0' as ModelName, version: 1 } }
            : undefined,
        remember: () => {},
      },
    })
    clock = world.clock
    const { start } = world
    let atMs = -1
    const { prediction, done } = start({
      ...(given.unit === undefined ? undefined : { unit: given.unit }),
      priority: given.priority,
    })
    void done.then(() => (atMs = clock.monotonicMs()))
    await world.play()
    const [record] = world.predictions()
    expect(world.predictions()).toHaveLength(1)
    expect(record!.flags.includes('fallback')).toBe(prediction.flags.includes('fallback'))
    for (const { call } of world.late()) if (call.role === 'shadow') expect(atMs).not.toBe(-1)
    const drained = world.path.drain()
    await world.play()
    await drained
    // Trees that spend the budget or open a circuit by themselves are other cases.
    const metrics = await world.platform.metrics.expose()
    fc.pre(!metrics.includes('result="refused"') && !metrics.includes('ml_breaker_transitions_total{'))
    return {
      end: prediction.error ? prediction.error.code : 'reply',
      atMs,
      answer: prediction.answer,
      isFallback: prediction.flags.includes('fallback'),
      choices: Object.fromEntries(
        record!.route.map(({ node, arm, probability }) => [node, `${arm} ${probability.toFixed(9)}`]),
      ),
      calls: calls.sort(),
      shadowCalls: shadowCalls.sort(),
    }
  }

  const model = (call: Call, more: Partial<Model> = {}): Model => ({ call, ...more })
  /** Each call answers or fails after so long. */
  function endsAfter(world: { clock: VirtualClock | undefined }, ms: number, end: TensorMap | HeadraceError): Call {
    return () =>
      new Promise((resolve, reject) => {
        world.clock!.after(ms, () => (end instanceof HeadraceError ? reject(end) : resolve(end)))
      })
  }
  const GOOD = answerOf('m0', 0.9)
  const failed = new HeadraceError('SERVING_RUN_FAILED', 'failed', 500, false, 'warn', {})

  it('answers from the next arm when one fails, says so, and records every call in order', async () => {
    const held: { clock: VirtualClock | undefined } = { clock: undefined }
    const world = setUp(fallback({ name: 'safe', arms: [version('m0', 1), version('m1', 1)] }), {
      m0: model(endsAfter(held, 5, failed), { cost: 2 }),
      m1: model(endsAfter(held, 7, GOOD), { cost: 1 }),
    })
    held.clock = world.clock
    const prediction = await world.predict()
    expect(prediction.flags).toEqual(['fallback'])
    expect(prediction.served!.key).toBe('m1/1')
    expect(world.predictions()[0]).toMatchObject({
      route: [{ node: 'safe', arm: '1', probability: 1 }],
      calls: [
        { leaf: 'm0/1', role: 'primary', status: 'SERVING_RUN_FAILED', latencyMs: 5 },
        { leaf: 'm1/1', role: 'attempt', status: 'ok', latencyMs: 7 },
      ],
      flags: ['fallback'],
      cost: 3,
      payload: { outputs: [{ call: 1 }] },
    })
    const metrics = await world.platform.metrics.expose()
    expect(metrics).toContain('ml_fallbacks_total{endpoint="e",node="safe",arm="1"} 1')
    expect(metrics).toContain('ml_route_choices_total{endpoint="e",node="safe",arm="1"} 1')
    expect(metrics).toContain('ml_route_cost_total{endpoint="e"} 3')
  })

  it('answers with the constant, for every row and in the datatypes of the outputs, when nobody else does', async () => {
    const route = fallback({
      name: 'safe',
      arms: [version('m0', 1), lastKnown(), constant('default', { probabilities: [0.5, 0.5], label: 7 })],
    })
    const world = setUp(route, { m0: model(() => Promise.reject(failed)) })
    const x: Tensor = { name: 'x', datatype: 'FP32', shape: [2, 1], data: new Float32Array(2) }
    const prediction = await world.predict({ tensors: new Map([['x', x]]) })
    expect(prediction.answer!.get('label')).toEqual({
      name: 'label',
      datatype: 'INT32',
      shape: [2, 1],
      data: Int32Array.of(7, 7),
    })
    expect(prediction.served!.ref).toEqual({ model: 'default', version: 0 })
    expect(world.predictions()[0]!.calls.map(({ leaf, status }) => `${leaf}: ${status}`)).toEqual([
      'm0/1: SERVING_RUN_FAILED',
      'the last known answer: ROUTE_NO_LAST_KNOWN',
      'constant "default": ok',
    ])
  })

  it('answers with the constant while every version is loaded again, by what is known of them', async () => {
    const route = fallback({
      name: 'safe',
      arms: [version('m0', 1), constant('default', { probabilities: [0.5, 0.5], label: 7 })],
    })
    const seen = new Map([
      [
        'm0',
        served(
          'm0',
          model(() => Promise.reject(failed)),
        ),
      ],
    ])
    const prediction = await setUp(route, {}, { seen }).predict()
    expect(prediction.error).toBeUndefined()
    expect(prediction.served!.ref).toEqual({ model: 'default', version: 0 })
    expect((await setUp(route, {}).predict()).error!.code).toBe('SERVING_MODEL_NOT_FOUND')
  })

  it('gives the last known answer, flagged as stale', async () => {
    const known = { outputs: GOOD, ageMs: 5, version: { model: 'm0' as ModelName, version: 1 } }
    const asked: unknown[] = []
    const world = setUp(
      fallback({ name: 'safe', arms: [version('m0', 1), lastKnown({ maxAgeMs: 60_000 })] }),
      { m0: model(() => Promise.reject(failed)) },
      {
        hasCache: true,
        answers: {
          lastKnown: (...given) => {
            asked.push(given[0], given[2])
            return known
          },
          remember: () => {},
        },
      },
    )
    const prediction = await world.predict()
    expect(prediction.flags).toEqual(['stale', 'fallback'])
    expect(prediction.answer).toBe(GOOD)
    expect(asked).toEqual([CACHE, 60_000])
    expect(world.predictions()[0]!.calls.at(-1)).toMatchObject({ status: 'ok', cached: 'stale', version: 1 })
  })

  describe('an answer that no call could keep for the next time', () => {
    let kept: LastKnownAnswer | undefined
    const answers: PredictionCache = {
      lastKnown: () => kept,
      remember: (_, __, outputs, by) => {
        kept = { outputs, ageMs: 0, version: by }
      },
    }
    let isWell = true
    const call: Call = async () => (isWell ? answerOf('m0', 0.9) : Promise.reject(failed))
    const fails = model(async () => Promise.reject(failed))
    const sum = (second: RouteNode) =>
      ensemble({
        name: 'both',
        combine: 'average',
        arms: [
          { name: 'a', route: version('m0', 1) },
          { name: 'b', route: second },
        ],
      })
    const options = { hasCache: true, answers }
    beforeEach(() => {
      kept = undefined
      isWell = true
    })

    it('is remembered when an ensemble combined it, and given as the last known one by that name', async () => {
      const route = fallback({ name: 'safe', arms: [sum(version('m1', 1)), lastKnown()] })
      const world = setUp(route, { m0: model(call), m1: model(call) }, options)
      const combined = await world.predict()
      expect(kept).toMatchObject({ outputs: combined.answer, version: { model: 'both', version: 0 } })
      isWell = false
      kept = { ...kept!, outputs: GOOD }
      const stale = await world.predict()
      expect(stale).toMatchObject({ flags: ['stale', 'fallback'], served: { key: 'both', ref: { version: 0 } } })
      expect(kept.outputs).toBe(GOOD)
    })

    it('is remembered as the request asked for it, when a cascade had to see more outputs', async () => {
      const arms = [{ route: version('m0', 1), confidence: 0.8 }, { route: version('m1', 1) }]
      const route = fallback({ name: 'safe', arms: [cascade({ name: 'sure', arms }), lastKnown()] })
      await setUp(route, { m0: model(call), m1: model(call) }, options).predict({ outputs: ['p'] })
      expect([...kept!.outputs.keys()]).toEqual(['p'])
      expect(kept!.version).toEqual({ model: 'm0', version: 1 })
    })

    it('is remembered when it was made of fewer inputs, and not where no leaf would give it again', async () => {
      const two = { ...SIGNATURE, inputs: [...SIGNATURE.inputs, { ...SIGNATURE.inputs[0]!, name: 'x2' }] }
      const models = { m0: model(async () => Promise.reject(failed), { signature: two }), m1: model(call) }
      const tensors = new Map([
        ['x', X],
        ['x2', { ...X, name: 'x2' }],
      ])
      const arms = [version('m0', 1), version('m1', 1)]
      await setUp(fallback({ name: 'safe', arms }), models, options).predict({ tensors })
      expect(kept).toBeUndefined()
      await setUp(fallback({ name: 'safe', arms: [...arms, lastKnown()] }), models, options).predict({ tensors })
      expect(kept?.version).toEqual({ model: 'm1', version: 1 })
    })

    it('is stale when one of its parts is, and cached only when all are', async () => {
      const flagsOf = async (second: RouteNode, ...cached: ('hit' | undefined)[]) => {
        const [m0, m1] = cached.map((hit) =>
          model(async () => ({ outputs: GOOD, queueMs: 0, computeMs: 0, batchRows: 1, cached: hit })),
        )
        const route = fallback({ name: 'safe', arms: [sum(second), lastKnown()] })
        return (await setUp(route, { m0: m0!, m1: m1!, m2: fails }, options).predict()).flags
      }
      expect(await flagsOf(version('m1', 1), 'hit', 'hit')).toEqual(['cached'])
      expect(await flagsOf(version('m1', 1), 'hit', undefined)).toEqual([])
      kept = { outputs: GOOD, ageMs: 5, version: { model: 'm2' as ModelName, version: 1 } }
      const orBefore = fallback({ name: 'm2-or-before', arms: [version('m2', 1), lastKnown()] })
      expect(await flagsOf(orBefore, 'hit', 'hit')).toEqual(['stale', 'fallback'])
      expect(kept.version.model).toBe('m2')
    })
  })

  it('feeds no answer of a version that the caller named to the last known ones', async () => {
    const inputs: LeafInput[] = []
    const world = setUp(version('m0', 1), {
      m0: model(async (input) => {
        inputs.push(input)
        return GOOD
      }),
    })
    await world.predict()
    await world.predict({ pinned: world.versions.resolve(version('m0', 1)) })
    expect(inputs.map(({ feedsLastKnown }) => feedsLastKnown)).toEqual([true, false])
  })

  it("lets callers name the outputs of a stack's meta-model, not those of the arms", async () => {
    const score: Signature = { ...META, outputs: [{ name: 'score', datatype: 'FP64', shape: [-1, 1] }] }
    const route = ensemble({
      name: 'stacked',
      combine: 'stack',
      arms: [
        { name: 'a', route: version('m0', 1) },
        { name: 'b', route: version('m1', 1) },
      ],
      meta: version('meta', 1),
    })
    const scored = new Map([
      ['score', { name: 'score', datatype: 'FP64' as const, shape: [1, 1], data: new Float64Array([0.4]) }],
    ])
    const world = setUp(route, {
      m0: model(async () => GOOD),
      m1: model(async () => GOOD),
      meta: model(async () => scored, { signature: score }),
    })
    expect((await world.predict({ outputs: ['score'] })).answer).toBe(scored)
    expect((await world.predict({ outputs: ['p'] })).error?.code).toBe('TENSOR_OUTPUT_UNKNOWN')
  })

  it.each([
    ['ONNX_RUN_FAILED', 500, 5],
    ['SCRIPT_RUN_TIMEOUT', 504, 5],
    ['SERVING_DEADLINE_EXCEEDED', 504, 0],
  ])('counts what a call cost that failed with %s (%d): %d', async (code, status, cost) => {
    const error = new HeadraceError(code, 'failed', status, false, 'warn', {})
    const world = setUp(version('m0', 1), { m0: model(async () => Promise.reject(error), { cost: 5 }) })
    await world.predict()
    expect(world.predictions()[0]!.cost).toBe(cost)
  })

  it("answers with the caller's mistake at once, without asking another arm", async () => {
    const mistake = new HeadraceError('TENSOR_SHAPE_MISMATCH', 'shape', 400, false, 'info', {})
    let asked = 0
    const world = setUp(fallback({ name: 'safe', arms: [version('m0', 1), version('m1', 1)] }), {
      m0: model(() => Promise.reject(mistake)),
      m1: model(async () => {
        asked++
        return GOOD
      }),
    })
    expect((await world.predict()).error).toBe(mistake)
    expect(asked).toBe(0)
  })

  it('copies to the shadow after the reply, at low priority, past the cache, and records that call by itself', async () => {
    const held: { clock: VirtualClock | undefined } = { clock: undefined }
    const order: string[] = []
    let copied: LeafInput | undefined
    const world = setUp(
      shadow({ name: 'try', primary: version('m0', 1), shadow: version('m1', 1) }),
      {
        m0: model(endsAfter(held, 3, GOOD)),
        m1: model((input, deadline) => {
          order.push('copied')
          copied = input
          return endsAfter(held, 50, answerOf('m1', 0.6))(input, deadline)
        }),
      },
      { hasCache: true },
    )
    held.clock = world.clock
    const { prediction, done } = world.start()
    void done.then(() => order.push('replied'))
    await world.play()
    expect(order).toEqual(['replied', 'copied'])
    // The caller may go away now.
    prediction.cancelled = true
    expect(copied).toMatchObject({ priority: 'low', cache: undefined, feedsLastKnown: false, cancelled: false })
    expect(prediction.calls).toHaveLength(1)
    expect(world.late()).toMatchObject([
      { prediction: prediction.id, call: { leaf: 'm1/1', role: 'shadow', status: 'ok', latencyMs: 50 } },
    ])
    expect(world.predictions()[0]!.route).toEqual([{ node: 'try', arm: 'shadow', probability: 1 }])
    expect(await world.platform.metrics.expose()).toContain(
      'ml_shadow_calls_total{endpoint="e",node="try",result="ok"} 1',
    )
  })

  it('skips copies beyond the bound and counts them, and never lets a failing one near the reply', async () => {
    const held: { clock: VirtualClock | undefined } = { clock: undefined }
    const world = setUp(shadow({ name: 'try', primary: version('m0', 1), shadow: version('m1', 1), maxInFlight: 2 }), {
      m0: model(endsAfter(held, 1, GOOD)),
      m1: model(endsAfter(held, 100, failed)),
    })
    held.clock = world.clock
    const started = [1, 2, 3, 4, 5].map(() => world.start())
    await world.play()
    for (const { prediction } of started) expect(prediction).toMatchObject({ error: undefined, flags: [] })
    expect(world.predictions().map(({ route }) => route[0]!.arm)).toEqual([
      'shadow',
      'shadow',
      'skipped',
      'skipped',
      'skipped',
    ])
    const metrics = await world.platform.metrics.expose()
    expect(metrics).toContain('node="try",result="skipped"} 3')
    expect(metrics).toContain('node="try",result="error"} 2')
    world.start()
    await world.play()
    expect(world.predictions().at(-1)!.route[0]!.arm).toBe('shadow')
  })

  it('waits for copies when it drains, but not for ever', async () => {
    const world = setUp(
      shadow({ name: 'try', primary: version('m0', 1), shadow: version('m1', 1) }),
      {
        m0: model(async () => GOOD),
        m1: model(() => new Promise(() => {})),
      },
      { deadlineMs: 60_000 },
    )
    await world.predict()
    const beganMs = world.clock.monotonicMs()
    let endedMs = 0
    void world.path.drain().then(() => (endedMs = world.clock.monotonicMs()))
    await world.play()
    expect(endedMs - beganMs).toBe(5_000)
  })

  it('opens the circuit of a version that keeps failing, skips it at once, and probes it with one call', async () => {
    const held: { clock: VirtualClock | undefined } = { clock: undefined }
    const changes: string[] = []
    let isWell = false
    let calls = 0
    let inFlight = 0
    let mostInFlight = 0
    const world = setUp(
      fallback({ name: 'safe', arms: [version('m0', 1), version('m1', 1)] }),
      {
        m0: model(async (input, deadline) => {
          calls++
          mostInFlight = Math.max(mostInFlight, ++inFlight)
          try {
            return await endsAfter(held, 10, isWell ? GOOD : failed)(input, deadline)
          } finally {
            inFlight--
          }
        }),
        m1: model(endsAfter(held, 1, GOOD)),
      },
      { onBreaker: ({ version: { model: name }, state }: BreakerChange) => changes.push(`${name} ${state}`) },
    )
    held.clock = world.clock
    for (let i = 0; i < 5; i++) await world.predict()
    expect(changes).toEqual(['m0 open'])
    expect(calls).toBe(5)
    const skipped = await world.predict()
    expect(skipped.calls.map(({ leaf, role, status }) => [leaf, role, status])).toEqual([
      ['m0/1', 'primary', 'ROUTE_CIRCUIT_OPEN'],
      ['m1/1', 'attempt', 'ok'],
    ])
    // Much later, many at once: one of them is the probe.
    isWell = true
    await new Promise<void>((resolve) => {
      world.clock.after(1300, resolve)
      world.clock.step()
    })
    mostInFlight = 0
    const together = Array.from({ length: 20 }, () => world.start())
    await world.play()
    expect(mostInFlight).toBe(1)
    for (const { prediction } of together) expect(prediction.error).toBeUndefined()
    expect(changes).toEqual(['m0 open', 'm0 half-open', 'm0 closed'])
    expect(await world.platform.metrics.expose()).toContain('ml_breaker_state{model="m0",version="1"} 0')
  })

  it('counts a hung call against the circuit, and a loser that is cancelled not', async () => {
    const held: { clock: VirtualClock | undefined } = { clock: undefined }
    const changes: string[] = []
    const onBreaker = ({ version: { model: name }, state }: BreakerChange) => changes.push(`${name} ${state}`)
    const hung = setUp(
      fallback({ name: 'safe', arms: [{ route: version('m0', 1), timeoutMs: 20 }, version('m1', 1)] }),
      { m0: model(() => new Promise(() => {})), m1: model(endsAfter(held, 1, GOOD)) },
      { onBreaker },
    )
    held.clock = hung.clock
    for (let i = 0; i < 6; i++) expect((await hung.predict()).error).toBeUndefined()
    expect(changes).toEqual(['m0 open'])
    let drops = 0
    const raced = setUp(
      fastest({ name: 'race', arms: [version('m0', 1), version('m1', 1)] }),
      { m0: model(endsAfter(held, 100, GOOD)), m1: model(endsAfter(held, 1, GOOD)) },
      { onBreaker, dropCancelled: () => drops++ },
    )
    held.clock = raced.clock
    for (let i = 0; i < 10; i++) await raced.predict()
    await raced.play()
    expect(changes).toEqual(['m0 open'])
    expect(drops).toBeGreaterThan(0)
    // The losers ended after the reply: records of their own.
    expect(raced.late().length).toBe(10)
    expect(raced.predictions()[0]).toMatchObject({
      route: [{ node: 'race', arm: '1' }],
      calls: [{ leaf: 'm1/1', role: 'hedge' }],
    })
  })

  it('keeps retries within a tenth of the requests and a small reserve', async () => {
    const passing = new HeadraceError('SERVING_RUN_TIMEOUT', 'slow', 504, true, 'warn', {})
    let calls = 0
    const world = setUp(fallback({ name: 'again', arms: [{ route: version('m0', 1), retries: 3 }] }), {
      m0: model(() => {
        calls++
        return Promise.reject(passing)
      }),
    })
    for (let i = 0; i < 400; i++) await world.predict()
    expect(calls - 400).toBeGreaterThan(10)
    expect(calls - 400).toBeLessThanOrEqual(400 * 0.1 + 10)
    const metrics = await world.platform.metrics.expose()
    expect(metrics).toMatch(/ml_retries_total\{endpoint="e",result="taken"\} \d+/)
  })

  it('tells what a cascade saved when its cheap arm is sure', async () => {
    const route = cascade({
      name: 'cheap',
      arms: [{ route: version('m0', 1), confidence: 0.8 }, { route: version('m1', 1) }],
    })
    let confidence = 0.9
    const world = setUp(route, {
      m0: model(async () => answerOf('m0', confidence), { cost: 1 }),
      m1: model(async () => answerOf('m1', 0.99), { cost: 10 }),
    })
    expect((await world.predict()).served!.key).toBe('m0/1')
    confidence = 0.6
    expect((await world.predict()).served!.key).toBe('m1/1')
    expect(world.predictions().map(({ cost, flags }) => [cost, flags])).toEqual([
      [1, []],
      [11, []],
    ])
    expect(await world.platform.metrics.expose()).toContain('ml_route_cost_saved_total{endpoint="e",node="cheap"} 10')
  })

  it("answers with the combination of an ensemble, which is no version's answer", async () => {
    const world = setUp(
      ensemble({
        name: 'both',
        combine: 'average',
        arms: [
          { name: 'a', route: version('m0', 1) },
          { name: 'b', route: version('m1', 1) },
        ],
      }),
      { m0: model(async () => answerOf('m0', 0.9)), m1: model(async () => answerOf('m1', 0.5)) },
    )
    const prediction = await world.predict({ outputs: ['p'] })
    expect((prediction.answer!.get('p')!.data as Float64Array)[0]).toBeCloseTo(0.7, 12)
    expect(prediction.served!.key).toBe('both')
    expect(world.predictions()[0]).toMatchObject({
      answeredBy: -1,
      route: [{ node: 'both', arm: 'a+b' }],
      payload: { outputs: [{ call: -1 }] },
    })
  })

  it('gives each version the inputs it takes, and counts one that cannot take them as a misfit', async () => {
    const X2 = { name: 'x2', datatype: 'FP32' as const, shape: [-1, 1] }
    const two: Signature = { ...SIGNATURE, inputs: [...SIGNATURE.inputs, X2] }
    const other: Signature = { ...SIGNATURE, inputs: [{ ...X2, name: 'unheard-of' }] }
    const seen: string[][] = []
    const see: Call = async (input) => {
      seen.push([...input.tensors.keys()])
      return Promise.reject(failed)
    }
    const world = setUp(fallback({ name: 'safe', arms: [version('m0', 1), version('m1', 1), version('m2', 1)] }), {
      m0: model(see, { signature: two }),
      m1: model(see),
      m2: model(see, { signature: other }),
    })
    await world.predict({
      tensors: new Map([
        ['x', X],
        ['x2', { ...X, name: 'x2' }],
      ]),
    })
    expect(seen).toEqual([['x', 'x2'], ['x']])
    expect(world.predictions()[0]!.calls.map(({ status }) => status)).toEqual([
      'SERVING_RUN_FAILED',
      'SERVING_RUN_FAILED',
      'PATH_VERSION_UNFIT',
    ])
  })

  it('records a version that is not there as a failed call, and goes on', async () => {
    const world = setUp(fallback({ name: 'safe', arms: [version('gone', 3), version('m1', 1)] }), {
      m1: model(async () => GOOD),
    })
    const prediction = await world.predict()
    expect(prediction.flags).toEqual(['fallback'])
    expect(prediction.calls[0]).toMatchObject({ leaf: 'gone/3', version: 3, status: 'SERVING_MODEL_NOT_FOUND' })
  })

  it('selects a leaf of splits and matches without a state machine, as the machine would', async () => {
    const route = split({
      name: 'ab',
      by: 'request',
      arms: [
        { name: 'a', weight: 1, route: version('m0', 1) },
        { name: 'b', weight: 1, route: version('m1', 1) },
      ],
    })
    const inputs: LeafInput[] = []
    const see: Call = async (input) => {
      inputs.push(input)
      return GOOD
    }
    const world = setUp(route, { m0: model(see), m1: model(see) }, { draw: 0.7 })
    const prediction = await world.predict()
    expect(inputs).toEqual([prediction])
    expect(world.predictions()[0]!.route).toEqual([{ node: 'ab', arm: 'b', probability: 0.5 }])
  })
})
