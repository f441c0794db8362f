import { describe, expect, it } from 'vitest'
import {
  type EndpointName,
  HeadraceError,
  ManualClock,
  type ModelName,
  type PredictionId,
  testPlatform,
} from '../core/index.js'
import type { LogPosition, LogRecord, PredictionLog, PredictionRecord } from '../log/index.js'
import { compileRoute, type RouteNode, split, version } from '../route/index.js'
import type { LeafResult, ServedVersion } from '../serving/index.js'
import type { Tensor } from '../tensor/index.js'
import { endpointSchema } from './config.js'
import type { Endpoint } from './endpoint.js'
import { createPath } from './path.js'
import { Prediction, type PredictionRequest } from './prediction.js'

const x: Tensor = { name: 'x', datatype: 'FP32', shape: [2, 3], data: new Float32Array(6) }
const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 3] })

function served(model: string, number: number, call: () => Promise<LeafResult>): ServedVersion {
  const ref = { model: model as ModelName, version: number }
  return {
    ref,
    key: `${model}/${number}`,
    kind: 'onnx',
    digest: `sha256:${model}`,
    signature: { inputs: [spec('x')], outputs: [spec('y')], batchAxis: 0 },
    manifest: { features: ['a', 'b', 'c'] } as never,
    labels: undefined,
    isolation: 'inline',
    leaf: { version: ref, call },
  }
}

const answer: LeafResult = { outputs: new Map([['y', { ...x, name: 'y' }]]), queueMs: 1, computeMs: 2, batchRows: 2 }

/** A log in memory whose durability the test decides. */
function fakeLog() {
  const records: LogRecord[] = []
  let durable: (() => void) | undefined
  const log: PredictionLog = {
    append: (record): LogPosition => records.push(record),
    durableThrough: () => 0,
    whenDurable: () => new Promise((resolve) => (durable = resolve)),
    subscribe: () => () => {},
  }
  return { log, records: records as PredictionRecord[], makeDurable: () => durable?.() }
}

function setUp(versions: readonly ServedVersion[], route: RouteNode = version(versions[0]!.ref.model, 1)) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const { log, records, makeDurable } = fakeLog()
  const path = createPath({
    platform,
    log,
    versions: {
      resolve: (leaf) => versions.find(({ ref }) => ref.model === leaf.model && ref.version === leaf.version)!,
      there: (leaf) => versions.find(({ ref }) => ref.model === leaf.model && ref.version === leaf.version),
      lastSeen: () => undefined,
      wake: () => undefined,
    },
  })
  const endpoint: Endpoint = { name: 'e' as EndpointName, route: compileRoute(route), deadlineMs: 1000, ack: 'none' }
  const predict = async (over: Partial<PredictionRequest> = {}) => {
    const prediction = new Prediction({
      id: 'id-1' as PredictionId,
      endpoint,
      protocol: 'oip',
      tenant: 'default',
      unit: 'user-1',
      traceId: undefined,
      tensors: new Map([['x', x]]),
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
    await path.predict(prediction)
    return prediction
  }
  return { clock, path, platform, records, makeDurable, endpoint, predict }
}

describe('the request path', () => {
  it('answers and records what happened: call, version, rows, timings and payload', async () => {
    const { predict, records } = setUp([served('fraud', 1, async () => answer)])
    const prediction = await predict()
    expect(prediction.error).toBeUndefined()
    expect(prediction.reply).toBe('reply')
    expect(records).toHaveLength(1)
    expect(records[0]).toMatchObject({
      kind: 'prediction',
      id: 'id-1',
      endpoint: 'e',
      unit: 'user-1',
      rows: 2,
      route: [],
      calls: [{ leaf: 'fraud/1', model: 'fraud', version: 1, role: 'primary', status: 'ok', queueMs: 1, batchRows: 2 }],
      flags: [],
      error: null,
      payload: { features: ['a', 'b', 'c'], outputs: [{ call: 0 }] },
    })
  })

  it('records the arms of a split with their probabilities', async () => {
    const versions = [served('a', 1, async () => answer), served('b', 1, async () => answer)]
    const route = split({
      name: 'ab',
      arms: [
        { name: 'control', weight: 3, route: version('a', 1) },
        { name: 'treatment', weight: 1, route: version('b', 1) },
      ],
    })
    const { predict, records } = setUp(versions, route)
    const prediction = await predict()
    const choice = records[0]!.route[0]!
    expect(choice.node).toBe('ab')
    expect(choice.probability).toBe(choice.arm === 'control' ? 0.75 : 0.25)
    expect(prediction.served!.ref.model).toBe(choice.arm === 'control' ? 'a' : 'b')
  })

  it('bypasses the route for a pinned version and flags the record', async () => {
    const other = served('fraud', 7, async () => answer)
    const { predict, records } = setUp([served('fraud', 1, async () => answer), other])
    await predict({ pinned: other })
    expect(records[0]).toMatchObject({ flags: ['pinned'], calls: [{ leaf: 'fraud/7' }] })
  })

  it('refuses inputs that do not match before anything is called, and still records the request', async () => {
    let called = false
    const { predict, records } = setUp([
      served('fraud', 1, async () => {
        called = true
        return answer
      }),
    ])
    const prediction = await predict({ tensors: new Map([['x', { ...x, shape: [3, 2] }]]) })
    expect(prediction.error?.status).toBe(400)
    expect(called).toBe(false)
    expect(records[0]).toMatchObject({ error: prediction.error!.code, calls: [] })
  })

  it('keeps a failing call in the record and answers with its error', async () => {
    const failure = new HeadraceError('SERVING_RUN_FAILED', 'failed', 500, false, 'warn', {})
    const { predict, records } = setUp([served('fraud', 1, () => Promise.reject(failure))])
    const prediction = await predict()
    expect(prediction.error).toBe(failure)
    expect(records[0]).toMatchObject({ error: 'SERVING_RUN_FAILED', calls: [{ status: 'SERVING_RUN_FAILED' }] })
  })

  it('turns an unknown exception into CORE_INTERNAL without its text', async () => {
    const { predict } = setUp([served('fraud', 1, () => Promise.reject(new TypeError('secret detail')))])
    const { error } = await predict()
    expect(error).toMatchObject({ code: 'CORE_INTERNAL', status: 500 })
    expect(error!.message).not.toContain('secret')
  })

  it('gives the leaf what is left of the shorter of the two limits', async () => {
    let remainingMs = 0
    const fraud = served('fraud', 1, async () => answer)
    const leaf = {
      ...fraud.leaf,
      call: async (_: unknown, deadline: { remainingMs(): number }) => {
        remainingMs = deadline.remainingMs()
        return answer
      },
    }
    const { predict, clock } = setUp([{ ...fraud, leaf }])
    const arrivedMs = clock.monotonicMs()
    clock.advance(100)
    await predict({ arrivedMs, timeoutMs: 300 })
    expect(remainingMs).toBe(200)
    await predict({ arrivedMs: clock.monotonicMs(), timeoutMs: 5000 })
    expect(remainingMs).toBe(1000)
  })

  it('holds the answer back until its record is durable when the endpoint asks for that', async () => {
    const { predict, endpoint, makeDurable } = setUp([served('fraud', 1, async () => answer)])
    let isAnswered = false
    const answered = predict({ endpoint: { ...endpoint, ack: 'before-reply' } }).then(() => {
      isAnswered = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(isAnswered).toBe(false)
    makeDurable()
    await answered
  })

  it('drains: waits for what is in flight and refuses what comes after', async () => {
    let finish = (_: LeafResult) => {}
    const { predict, path } = setUp([served('fraud', 1, () => new Promise((resolve) => (finish = resolve)))])
    const running = predict()
    const order: string[] = []
    const drained = path.drain().then(() => order.push('drained'))
    const late = await predict()
    expect(late.error?.code).toBe('PATH_DRAINING')
    finish(answer)
    await running.then(() => order.push('answered'))
    await drained
    expect((await running).error).toBeUndefined()
    expect(path.inFlight).toBe(0)
  })

  it('counts predictions by version and status, errors by code, and time by stage', async () => {
    const { predict, platform } = setUp([served('fraud', 1, async () => answer)])
    await predict()
    await predict({ tensors: new Map() })
    const text = await platform.metrics.expose()
    expect(text).toContain('ml_predictions_total{endpoint="e",model="fraud",version="1",status="ok"} 1')
    expect(text).toMatch(/ml_errors_total\{code="TENSOR_\w+"\} 1/)
    expect(text).toContain('ml_stage_seconds_count{endpoint="e",stage="route"} 2')
    expect(text).toContain('ml_request_seconds_count{endpoint="e"} 2')
  })
})

describe('the endpoint schema', () => {
  it('fills in the deadline and the log policy', () => {
    const endpoint = endpointSchema.parse({ route: version('fraud') })
    expect(endpoint).toMatchObject({ deadlineMs: 10_000, log: { payloadSample: 1, ack: 'none' } })
  })
})
