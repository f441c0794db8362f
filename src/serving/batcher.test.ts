import { describe, expect, it } from 'vitest'
import {
  computeDouble,
  DOUBLER,
  doublerInput,
  FakeBackend,
  type FakeBackendOptions,
  fakeManifest,
  settled,
  Turns,
  tensors,
} from '../../test/support/fake-backend.js'
import {
  type HeadraceError,
  type Logger,
  ManualClock,
  type ModelName,
  silentLogger,
  testPlatform,
} from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { ModelManifest, TensorMap } from '../tensor/index.js'
import { Batcher } from './batcher.js'
import { ServingErrors } from './errors.js'
import { createServingMetrics } from './metrics.js'
import type { LeafInput, LeafResult } from './types.js'

interface Options extends Omit<FakeBackendOptions, 'clock'> {
  readonly batching?: Partial<ModelManifest['batching']>
  readonly timeoutMs?: number
  readonly logger?: Logger
}

/** Time that passes without timers firing, as when something blocks the event loop. */
class BusyClock extends ManualClock {
  heldUpMs = 0
  override monotonicMs(): number {
    return super.monotonicMs() + this.heldUpMs
  }
}

function setUp({ batching = {}, timeoutMs = 1000, logger = silentLogger, ...backendOptions }: Options = {}) {
  const clock = new BusyClock()
  const turns = new Turns()
  const backend = new FakeBackend({ clock, ...backendOptions })
  const version = { model: 'fraud' as ModelName, version: 2 }
  const readiness: (string | undefined)[] = []
  const { metrics } = testPlatform()
  const batcher = new Batcher({
    version,
    backend,
    manifest: fakeManifest({ timeoutMs, batching }),
    clock,
    logger,
    metrics: createServingMetrics(metrics).bind(version),
    defer: turns.defer,
    onReadiness: (reason) => readiness.push(reason),
  })
  /** Calls and keeps the outcome; `limitMs` is the deadline. */
  const call = (input: LeafInput, limitMs = Number.POSITIVE_INFINITY) => {
    const outcome: { result?: LeafResult; error?: HeadraceError } = {}
    batcher.call(input, limitMs === Number.POSITIVE_INFINITY ? Deadline.none(clock) : Deadline.in(clock, limitMs)).then(
      (result) => {
        outcome.result = result
      },
      (error: HeadraceError) => {
        outcome.error = error
      },
    )
    return outcome
  }
  const turn = async () => {
    turns.end()
    await settled()
  }
  const finish = async (number = backend.runs.length - 1) => {
    backend.runs[number]!.finish()
    await settled()
  }
  return { clock, turns, backend, batcher, readiness, metrics, call, turn, finish }
}

/** One row of one number. */
const one = (value: number, outputs?: readonly string[]) => doublerInput([[value]], outputs)
const values = (map: TensorMap | undefined, name: string) => [...(map!.get(name)!.data as Float32Array)]
const rowsOf = (backend: FakeBackend) => backend.runs.map((run) => values(run.batch, 'x'))

describe('when a batch goes', () => {
  it('runs at the end of the turn when idle, with everything that arrived in it', async () => {
    const { backend, call, turn } = setUp()
    call(one(1))
    call(one(2))
    expect(backend.runs.length).toBe(0)
    await turn()
    expect(rowsOf(backend)).toEqual([[1, 2]])
  })

  it('gathers while the backend is busy and sends all of it, up to the limit, when it is free', async () => {
    const { backend, call, turn, finish } = setUp({ batching: { maxBatchSize: 3 } })
    call(one(1))
    await turn()
    for (const value of [2, 3, 4, 5]) call(one(value))
    await turn()
    expect(backend.runs.length).toBe(1)
    await finish()
    expect(rowsOf(backend)).toEqual([[1], [2, 3, 4]])
    await finish()
    expect(rowsOf(backend)).toEqual([[1], [2, 3, 4], [5]])
  })

  it('lets an inline backend read what arrived during its run before the next run', async () => {
    const { backend, call, turn, finish } = setUp({ isolation: 'inline' })
    call(one(1))
    await turn()
    call(one(2))
    await finish()
    call(one(3))
    expect(backend.runs.length).toBe(1)
    await turn()
    expect(rowsOf(backend)).toEqual([[1], [2, 3]])
  })

  it('keeps as many batches in flight as the backend takes at once', async () => {
    const { backend, call, turn, finish } = setUp({ concurrency: 2 })
    for (const value of [1, 2, 3]) {
      call(one(value))
      await turn()
    }
    expect(rowsOf(backend)).toEqual([[1], [2]])
    await finish(1)
    expect(rowsOf(backend)).toEqual([[1], [2], [3]])
  })

  it('runs a rare shape as soon as it is the oldest, however many others wait', async () => {
    const { backend, call, turn, finish } = setUp({ batching: { maxBatchSize: 2 } })
    call(one(1))
    await turn()
    call(one(2))
    call(doublerInput([[10, 11, 12]]))
    for (const value of [3, 4, 5]) call(one(value))
    for (let i = 0; i < 4; i++) await finish()
    expect(rowsOf(backend)).toEqual([[1], [2, 3], [10, 11, 12], [4, 5]])
  })

  it('runs calls one by one when the model has no batch axis or batching is off', async () => {
    for (const options of [{ signature: { ...DOUBLER, batchAxis: null } }, { batching: { enabled: false } }]) {
      const { backend, call, turn, finish } = setUp(options)
      call(one(1))
      call(doublerInput(Array.from({ length: 40 }, (_, i) => [i])))
      await turn()
      await finish()
      expect(backend.runs.map((run) => run.rows)).toEqual([1, 40])
    }
  })

  it('asks for the union of the outputs wanted and gives each caller its own, in its order', async () => {
    const { backend, call, turn, finish } = setUp()
    const a = call(one(1, ['sum']))
    const b = call(one(2, ['sum', 'double']))
    await turn()
    expect(backend.runs[0]!.context.outputs).toEqual(['sum', 'double'])
    await finish()
    expect([...a.result!.outputs.keys()]).toEqual(['sum'])
    expect([...b.result!.outputs.keys()]).toEqual(['sum', 'double'])
    call(one(3, ['sum']))
    call(one(4))
    await turn()
    expect(backend.runs[1]!.context.outputs).toBe(undefined)
  })

  it('says how long a call waited, how long it ran and in what company', async () => {
    const { clock, call, turn, finish } = setUp()
    call(one(0))
    await turn()
    clock.advance(5)
    const a = call(one(1))
    clock.advance(2)
    const b = call(doublerInput([[2], [3]]))
    clock.advance(3)
    await finish()
    clock.advance(4)
    await finish()
    expect(a.result).toMatchObject({ queueMs: 5, computeMs: 4, batchRows: 3 })
    expect(b.result).toMatchObject({ queueMs: 3, computeMs: 4, batchRows: 3 })
  })
})

describe('a request larger than a batch', () => {
  it('runs in parts, lets others go between them, and is joined in order', async () => {
    const { backend, call, turn, finish } = setUp({ batching: { maxBatchSize: 2 } })
    const large = call(doublerInput([[1], [2], [3], [4], [5]]))
    await turn()
    const small = call(one(6))
    for (let i = 0; i < 3; i++) await finish()
    expect(rowsOf(backend)).toEqual([
      [1, 2],
      [3, 4],
      [6, 5],
    ])
    expect(values(large.result?.outputs, 'double')).toEqual([2, 4, 6, 8, 10])
    expect(large.result?.outputs.get('sum')?.shape).toEqual([5])
    expect(values(small.result?.outputs, 'double')).toEqual([12])
  })

  it('fails as a whole when a part fails, and the other parts are not run', async () => {
    const { backend, call, turn } = setUp({ batching: { maxBatchSize: 2 } })
    const large = call(doublerInput([[1], [2], [3], [4], [5], [6]]))
    await turn()
    backend.runs[0]!.fail(new Error('no'))
    await settled()
    expect(large.error?.code).toBe('SERVING_RUN_FAILED')
    expect(backend.runs.length).toBe(1)
  })

  it('runs whole when the rows of its parts turn out to have different shapes', async () => {
    // Rows as wide as the first number of the batch: parts cannot be joined.
    const compute = (batch: TensorMap) => {
      const rows = batch.get('x')!.shape[0]!
      const width = (batch.get('x')!.data as Float32Array)[0]!
      const data = new Float32Array(rows * width)
      const sum = computeDouble(batch).get('sum')!
      return tensors({ name: 'double', datatype: 'FP32', shape: [rows, width], data }, sum)
    }
    const { backend, call, turn } = setUp({ batching: { maxBatchSize: 2 }, compute, runMs: 0 })
    const large = call(doublerInput([[1], [2], [3], [4]]))
    await turn()
    expect(backend.runs.map((run) => run.rows)).toEqual([2, 2, 4])
    expect(large.result?.outputs.get('double')?.shape).toEqual([4, 1])
  })
})

describe('limits', () => {
  it('refuses rows beyond the queue limit with the time to come back after, measured from how fast it drains', async () => {
    const { clock, call, turn, finish } = setUp({ batching: { maxBatchSize: 2, maxQueueRows: 4 } })
    call(doublerInput([[1], [2]]))
    await turn()
    call(doublerInput([[3], [4], [5]]))
    const early = call(doublerInput([[6], [7]]))
    await settled()
    expect(early.error?.code).toBe('SERVING_QUEUE_FULL')
    expect(early.error?.params['retryAfterMs']).toBe(1000)
    clock.advance(10)
    await finish()
    call(doublerInput([[8], [9]]))
    const late = call(doublerInput([[10], [11]]))
    await settled()
    // Two rows took 10 ms and three wait.
    expect(late.error?.params).toMatchObject({ waitingRows: 3, rows: 2, maxQueueRows: 4, retryAfterMs: 15 })
    expect(late.error?.status).toBe(429)
  })

  it('takes a request larger than the queue limit when nothing waits', async () => {
    const { call, turn } = setUp({ batching: { maxQueueRows: 4 }, runMs: 0 })
    const large = call(doublerInput([[1], [2], [3], [4], [5]]))
    await turn()
    expect(large.result).toBeDefined()
  })

  it('rejects a queued call at the moment its deadline passes and does not run it', async () => {
    const { clock, backend, call, turn, finish } = setUp()
    call(one(1))
    await turn()
    const late = call(one(2), 50)
    call(one(3), 80)
    call(one(4))
    clock.advance(49)
    await settled()
    expect(late.error).toBe(undefined)
    clock.advance(1)
    await settled()
    expect(late.error?.toJSON()).toMatchObject({
      code: 'SERVING_DEADLINE_EXCEEDED',
      status: 504,
      retry: true,
      params: { phase: 'queued', waitedMs: 50 },
    })
    await finish()
    expect(rowsOf(backend)).toEqual([[1], [3, 4]])
  })

  it('refuses a call that is late already, and does not run one whose timer was held up by a busy event loop', async () => {
    const { clock, backend, call, turn } = setUp({ runMs: 0 })
    const refused = call(one(1), 0)
    await settled()
    expect(refused.error?.code).toBe('SERVING_DEADLINE_EXCEEDED')
    const held = call(one(2), 50)
    clock.heldUpMs = 60
    await turn()
    expect(held.error?.params).toMatchObject({ phase: 'queued', waitedMs: 60 })
    expect(backend.runs.length).toBe(0)
  })

  it('answers a running call at its deadline and drops the result that comes after', async () => {
    const { clock, call, turn, finish } = setUp()
    const late = call(one(1), 50)
    const patient = call(one(2))
    await turn()
    clock.advance(50)
    await settled()
    expect(late.error?.params).toMatchObject({ phase: 'running' })
    await finish()
    expect(values(patient.result?.outputs, 'double')).toEqual([4])
  })

  it('gives the backend the latest deadline of the batch, or the limit of the model when that is sooner', async () => {
    const { backend, call, turn, finish } = setUp({ timeoutMs: 100 })
    call(one(1), 20)
    call(one(2), 30)
    await turn()
    expect(backend.runs[0]!.context.deadline.atMs).toBe(30)
    await finish()
    call(one(3))
    await turn()
    expect(backend.runs[1]!.context.deadline.atMs).toBe(100)
  })

  it('drops a queued call whose caller went away', async () => {
    const { backend, call, turn, finish } = setUp()
    call(one(1))
    await turn()
    const input = one(2)
    const gone = call(input)
    call(one(3))
    input.cancelled = true
    await finish()
    expect(rowsOf(backend)).toEqual([[1], [3]])
    expect(gone.error?.code).toBe('SERVING_CANCELLED')
  })

  it('refuses inputs that do not fit before they join anything', async () => {
    const { backend, call, turn } = setUp()
    const wrong = call({ ...one(1), tensors: new Map() })
    const unknown = call(one(1, ['probability']))
    await turn()
    expect(wrong.error?.code).toBe('TENSOR_INPUT_MISSING')
    expect(unknown.error?.code).toBe('TENSOR_OUTPUT_UNKNOWN')
    expect(backend.runs.length).toBe(0)
  })
})

describe('when a run fails', () => {
  const poison = (batch: TensorMap) => {
    if (values(batch, 'x').includes(13)) throw new Error('13 is bad luck')
    return computeDouble(batch)
  }

  it('runs the batch again by halves, so that only the guilty call fails', async () => {
    const { backend, call, turn } = setUp({ compute: poison, runMs: 0 })
    const outcomes = [1, 2, 3, 13, 5, 6, 7, 8].map((value) => call(one(value)))
    await turn()
    expect(rowsOf(backend)).toEqual([
      [1, 2, 3, 13, 5, 6, 7, 8],
      [1, 2, 3, 13],
      [1, 2],
      [3, 13],
      [3],
      [13],
      [5, 6, 7, 8],
    ])
    expect(outcomes.map(({ error }) => error?.code)).toEqual(
      outcomes.map((_, i) => (i === 3 ? 'SERVING_RUN_FAILED' : undefined)),
    )
    expect(outcomes[3]!.error?.message).toContain('13 is bad luck')
    expect(values(outcomes[7]!.result?.outputs, 'double')).toEqual([16])
  })

  it('ends after 2n - 1 runs when every call fails', async () => {
    const { backend, call, turn } = setUp({ compute: poison, runMs: 0 })
    for (let i = 0; i < 8; i++) call(one(13))
    await turn()
    expect(backend.runs.length).toBe(15)
  })

  it('answers at its deadline a call that waits for its half to be run again', async () => {
    const { clock, backend, call, turn } = setUp()
    call(one(1), 50)
    const late = call(one(2), 50)
    await turn()
    backend.runs[0]!.fail(new Error('no'))
    await settled()
    clock.advance(50)
    await settled()
    expect(late.error?.params).toMatchObject({ phase: 'queued', waitedMs: 50 })
  })

  it('fails all of them without another try when the backend itself is in trouble', async () => {
    const trouble = ServingErrors.MODEL_UNREADY({ model: 'fraud', version: 2, reason: 'lost', retryAfterMs: 1 })
    const { backend, call, turn } = setUp({ runMs: () => trouble })
    const outcomes = [call(one(1)), call(one(2))]
    await turn()
    expect(backend.runs.length).toBe(1)
    expect(outcomes.map(({ error }) => error)).toEqual([trouble, trouble])
  })

  it('survives a backend that throws instead of rejecting', async () => {
    const { backend, call, turn } = setUp()
    backend.run = () => {
      throw new Error('at once')
    }
    const outcome = call(one(1))
    await turn()
    expect(outcome.error?.toJSON()).toMatchObject({ code: 'SERVING_RUN_FAILED', status: 500 })
  })

  it('fails with what is wrong when an output is absent or has not the elements of its shape', async () => {
    const { backend, call, turn } = setUp()
    const sum = computeDouble(one(1).tensors).get('sum')!
    const absent = call(one(1))
    await turn()
    backend.runs[0]!.answer(tensors(sum))
    await settled()
    expect(absent.error?.code).toBe('SERVING_OUTPUT_MISMATCH')
    expect(absent.error?.message).toContain("'double'")
    const short = call(one(1))
    await turn()
    backend.runs[1]!.answer(tensors(sum, { ...sum, name: 'double', shape: [7] }))
    await settled()
    expect(short.error?.message).toContain('1 elements where its shape holds 7')
  })
})

describe('a model that cannot be batched although its signature says so', () => {
  const warnings = () => {
    const list: string[] = []
    return { list, logger: { ...silentLogger, warn: (_: object, message: string) => list.push(message) } as Logger }
  }

  it('is found out by the rows of its outputs, answers rightly all the same, and runs calls alone from then on', async () => {
    const { list, logger } = warnings()
    const compute = (batch: TensorMap) => {
      const outputs = computeDouble(batch)
      const total = values(batch, 'x').reduce((a, b) => a + b, 0)
      return tensors(outputs.get('double')!, { ...outputs.get('sum')!, shape: [1], data: Float32Array.of(total) })
    }
    const { backend, call, turn } = setUp({ compute, runMs: 0, logger })
    // The first call does not even ask for the output that gives the model away.
    const outcomes = [call(one(1, ['double'])), call(one(2)), call(one(3))]
    await turn()
    expect(rowsOf(backend)).toEqual([[1, 2, 3], [1], [2], [3]])
    expect(values(outcomes[2]!.result?.outputs, 'sum')).toEqual([3])
    const later = [call(one(4)), call(one(5))]
    await turn()
    expect(rowsOf(backend).slice(4)).toEqual([[4], [5]])
    expect(values(later[1]!.result?.outputs, 'sum')).toEqual([5])
    expect(list).toEqual(['Model fraud/2 runs each call alone from now on.'])
  })

  it('runs a large request whole once its first part gave the model away', async () => {
    const compute = (batch: TensorMap) => {
      const total = values(batch, 'x').reduce((a, b) => a + b, 0)
      const one = { datatype: 'FP32' as const, shape: [1], data: Float32Array.of(total) }
      return tensors({ name: 'double', ...one }, { name: 'sum', ...one })
    }
    const { backend, metrics, call, turn } = setUp({ compute, runMs: 0, batching: { maxBatchSize: 2 } })
    const large = call(doublerInput([[1], [2], [3], [4], [5], [6]]))
    await turn()
    // The second part started while the answer to the first was not looked at yet; there is no third.
    expect(backend.runs.map((run) => run.rows)).toEqual([2, 2, 6])
    expect(values(large.result?.outputs, 'sum')).toEqual([21])
    expect(await metrics.expose()).toContain('ml_queue_rows{model="fraud",version="2"} 0')
  })

  it('is found out when batches fail twice whose calls then all succeed alone', async () => {
    const { list, logger } = warnings()
    const compute = (batch: TensorMap) => {
      if (batch.get('x')!.shape[0]! > 1) throw new Error('Reshape: expected 1 row')
      return computeDouble(batch)
    }
    const { backend, call, turn } = setUp({ compute, runMs: 0, logger })
    for (let batch = 0; batch < 3; batch++) {
      const outcomes = [call(one(1)), call(one(2))]
      await turn()
      expect(outcomes.map(({ error }) => error)).toEqual([undefined, undefined])
    }
    expect(backend.runs.map((run) => run.rows)).toEqual([2, 1, 1, 2, 1, 1, 1, 1])
    expect(list.length).toBe(1)
  })
})

describe('a run that hangs', () => {
  it('is abandoned at its limit; the version is unready until it returns', async () => {
    const { clock, backend, readiness, call, turn, finish } = setUp({ timeoutMs: 100 })
    const hung = call(one(1))
    await turn()
    clock.advance(60)
    const queued = call(one(2))
    clock.advance(40)
    await settled()
    expect(hung.error?.toJSON()).toMatchObject({ code: 'SERVING_RUN_TIMEOUT', status: 504 })
    // Nobody knows how long it will hang, so those behind it hear of it now, while they can still go elsewhere.
    expect(queued.error?.toJSON()).toMatchObject({ code: 'SERVING_MODEL_UNREADY', status: 503, retry: true })
    expect(readiness).toEqual(['a run has been going for more than its limit of 100 ms'])
    const refused = call(one(3))
    await settled()
    expect(refused.error?.code).toBe('SERVING_MODEL_UNREADY')
    await finish()
    expect(readiness).toEqual(['a run has been going for more than its limit of 100 ms', undefined])
    const served = call(one(4))
    await turn()
    await finish()
    expect(values(served.result?.outputs, 'double')).toEqual([8])
    expect(backend.runs.length).toBe(2)
  })

  it('leaves the version ready while another slot works', async () => {
    const { clock, readiness, call, turn, finish } = setUp({ timeoutMs: 100, concurrency: 2 })
    call(one(1))
    await turn()
    clock.advance(100)
    const other = call(one(2))
    await turn()
    await finish()
    expect(other.result).toBeDefined()
    expect(readiness).toEqual([])
  })

  it('in the only instance left keeps the version unready until another one is there again', async () => {
    const { clock, backend, readiness, call, turn, finish } = setUp({ timeoutMs: 100, concurrency: 2 })
    call(one(1))
    await turn()
    backend.concurrency = 1
    clock.advance(100)
    expect(readiness.length).toBe(1)
    clock.advance(300)
    expect(readiness.length).toBe(1)
    backend.concurrency = 2
    clock.advance(100)
    expect(readiness).toEqual([readiness[0], undefined])
    const served = call(one(2))
    await turn()
    await finish()
    expect(values(served.result?.outputs, 'double')).toEqual([4])
  })

  it('answers the rest of a failed batch when the re-run of its first half hangs', async () => {
    const { clock, backend, call, turn } = setUp({ timeoutMs: 100 })
    const outcomes = [call(one(1)), call(one(2))]
    await turn()
    backend.runs[0]!.fail(new Error('no'))
    await settled()
    clock.advance(100)
    await settled()
    expect(outcomes.map(({ error }) => error?.code)).toEqual(['SERVING_RUN_TIMEOUT', 'SERVING_MODEL_UNREADY'])
  })
})

describe('closing', () => {
  it('waits until every call has its answer and refuses those that come after', async () => {
    const { batcher, call, turn, finish } = setUp()
    const first = call(one(1))
    let isClosed = false
    void batcher.close().then(() => {
      isClosed = true
    })
    await turn()
    const second = call(one(2))
    await finish()
    expect(isClosed).toBe(false)
    await finish()
    expect(isClosed).toBe(true)
    expect([first, second].map(({ error }) => error)).toEqual([undefined, undefined])
    const late = call(one(3))
    await settled()
    expect(late.error?.code).toBe('SERVING_MODEL_UNREADY')
  })
})

describe('metrics', () => {
  it('observes rows per run, time queued, latency, waiting rows and how calls ended', async () => {
    const { clock, metrics, call, turn, finish } = setUp()
    call(one(1))
    call(one(2))
    await turn()
    call(one(3), 20)
    expect(await metrics.expose()).toContain('ml_queue_rows{model="fraud",version="2"} 1')
    clock.advance(40)
    await finish()
    const text = await metrics.expose()
    for (const line of [
      'ml_batch_size_bucket{le="1",model="fraud",version="2"} 0',
      'ml_batch_size_bucket{le="2",model="fraud",version="2"} 1',
      'ml_queue_seconds_count{model="fraud",version="2"} 2',
      'ml_inference_latency_seconds_count{model="fraud",version="2"} 3',
      'ml_inference_latency_seconds_sum{model="fraud",version="2"} 0.1',
      'ml_queue_rows{model="fraud",version="2"} 0',
      'ml_inference_calls_total{model="fraud",version="2",status="ok"} 2',
      'ml_inference_calls_total{model="fraud",version="2",status="SERVING_DEADLINE_EXCEEDED"} 1',
    ])
      expect(text).toContain(line)
  })
})
