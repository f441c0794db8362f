// Whatever arrives, in whatever order runs end and fail: nobody gets another's answer, and nobody is forgotten.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  computeDouble,
  DOUBLER,
  doublerInput,
  FakeBackend,
  fakeManifest,
  settled,
  Turns,
  tensors,
} from '../../test/support/fake-backend.js'
import { HeadraceError, ManualClock, type ModelName, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { TensorMap } from '../tensor/index.js'
import { Batcher } from './batcher.js'
import { createServingMetrics } from './metrics.js'
import type { LeafInput, LeafResult } from './types.js'

const MAX_BATCH_ROWS = 8
const MAX_BATCH_ROWS_UNDER_PRESSURE = 12
const MAX_QUEUE_ROWS = 40
const RUN_LIMIT_MS = 100
/** A row that starts with this makes its run fail. */
const POISON = 1_000_000

interface Call {
  readonly input: LeafInput
  readonly isPoisoned: boolean
  readonly deadlineMs: number
  readonly arrivedMs: number
  cancelledMs: number
  answers: number
  answeredMs: number
  result: LeafResult | undefined
  error: HeadraceError | undefined
}

type Event =
  | {
      kind: 'arrive'
      rows: number
      width: number
      outputs: readonly string[] | undefined
      limitMs: number
      isPoisoned: boolean
    }
  | { kind: 'turn' }
  | { kind: 'advance'; ms: number }
  | { kind: 'finish' | 'cancel'; pick: number }

const outputs = fc.constantFrom(undefined, undefined, ['sum'], ['double'], ['sum', 'double'], ['double', 'sum'])
const arrival = (poison: fc.Arbitrary<boolean>): fc.Arbitrary<Event> =>
  fc.record({
    kind: fc.constant('arrive' as const),
    rows: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.integer({ min: 5, max: 21 })),
    width: fc.constantFrom(1, 1, 2, 3),
    outputs,
    limitMs: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 60 })),
    isPoisoned: poison,
  })
const pick = fc.nat({ max: 7 })
const events = (poison: fc.Arbitrary<boolean>, longestStepMs: number): fc.Arbitrary<Event[]> =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: arrival(poison) },
      { weight: 3, arbitrary: fc.constant<Event>({ kind: 'turn' }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('finish' as const), pick }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat({ max: longestStepMs }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), pick }) },
    ),
    { minLength: 1, maxLength: 60 },
  )
const setups = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  isolation: fc.constantFrom('thread' as const, 'inline' as const),
})
const sometimes = fc.integer({ min: 0, max: 7 }).map((n) => n === 0)
const never = fc.constant(false)

function failOnPoison(batch: TensorMap): TensorMap {
  if ((batch.get('x')!.data as Float32Array).some((value) => value >= POISON)) throw new Error('poison')
  return computeDouble(batch)
}

/** One number for the whole batch, whatever the signature promises. */
function sumOfAll(batch: TensorMap): TensorMap {
  const sum = (batch.get('x')!.data as Float32Array).reduce((a, b) => a + b, 0)
  const one = { datatype: 'FP32' as const, shape: [1], data: Float32Array.of(sum) }
  return tensors({ name: 'double', ...one }, { name: 'sum', ...one })
}

function failInCompany(batch: TensorMap): TensorMap {
  if (batch.get('x')!.shape[0]! > 1) throw new Error('the graph has a batch of 1 inside')
  return computeDouble(batch)
}

class World {
  readonly clock = new ManualClock()
  readonly turns = new Turns()
  readonly calls: Call[] = []
  readonly backend: FakeBackend
  readonly batcher: Batcher
  readonly readiness: (string | undefined)[] = []
  waitingRows = 0
  rowsLimit = MAX_BATCH_ROWS
  #nextValue = 1

  constructor(
    setup: { concurrency: number; isolation: 'thread' | 'inline' },
    private readonly compute: (batch: TensorMap) => TensorMap,
  ) {
    const { clock } = this
    const version = { model: 'm' as ModelName, version: 1 }
    this.backend = new FakeBackend({ clock, ...setup, compute })
    this.batcher = new Batcher({
      version,
      backend: this.backend,
      manifest: fakeManifest({
        timeoutMs: RUN_LIMIT_MS,
        batching: {
          maxBatchSize: MAX_BATCH_ROWS,
          maxBatchSizeUnderPressure: MAX_BATCH_ROWS_UNDER_PRESSURE,
          maxQueueRows: MAX_QUEUE_ROWS,
        },
      }),
      clock,
      logger: testPlatform().logger,
      metrics: {
        ...createServingMetrics(testPlatform().metrics).bind(version),
        waitingRows: {
          set: (rows) => {
            expect(rows).toBeGreaterThanOrEqual(0)
            this.waitingRows = rows
          },
        },
        rowsLimit: {
          set: (rows) => {
            expect(rows).toBeLessThanOrEqual(MAX_BATCH_ROWS_UNDER_PRESSURE)
            this.rowsLimit = rows
          },
        },
      },
      defer: this.turns.defer,
      onReadiness: (reason) => this.readiness.push(reason),
    })
  }

  async play(events: readonly Event[]): Promise<void> {
    for (const event of events) {
      await this.#do(event)
      await settled()
    }
  }

  /** Ends turns and runs until nothing is left to do. */
  async finishAll(): Promise<void> {
    for (;;) {
      this.turns.end()
      await settled()
      const run = this.backend.pending[0]
      if (run === undefined) break
      run.finish()
      await settled()
    }
    expect(this.waitingRows).toBe(0)
    // Nothing is left: this resolves at once.
    const closing = this.batcher.close().then(() => 'closed')
    expect(await Promise.race([closing, settled()])).toBe('closed')
  }

  async #do(event: Event): Promise<void> {
    switch (event.kind) {
      case 'arrive':
        return this.#arrive(event)
      case 'turn':
        return this.turns.end()
      case 'finish':
        return this.#pick(this.backend.pending, event.pick)?.finish()
      case 'cancel': {
        const call = this.#pick(
          this.calls.filter((call) => call.answers === 0),
          event.pick,
        )
        if (call === undefined) return
        call.input.cancelled = true
        call.cancelledMs = this.clock.monotonicMs()
        return
      }
      case 'advance':
        // In small steps, so that answers are seen at the time they are given.
        for (let ms = 0; ms < event.ms; ms++) {
          this.clock.advance(1)
          await settled()
        }
    }
  }

  #pick<T>(list: readonly T[], pick: number): T | undefined {
    return list[pick % Math.max(1, list.length)]
  }

  #arrive({ rows, width, outputs, limitMs, isPoisoned }: Event & { kind: 'arrive' }): void {
    const values = Array.from({ length: rows }, () => Array.from({ length: width }, () => this.#nextValue++))
    if (isPoisoned) values.at(-1)![0]! += POISON
    const input = doublerInput(values, outputs)
    const deadline = limitMs === Number.POSITIVE_INFINITY ? Deadline.none(this.clock) : Deadline.in(this.clock, limitMs)
    const call: Call = {
      input,
      isPoisoned,
      deadlineMs: deadline.atMs,
      arrivedMs: this.clock.monotonicMs(),
      cancelledMs: Number.POSITIVE_INFINITY,
      answers: 0,
      answeredMs: 0,
      result: undefined,
      error: undefined,
    }
    this.calls.push(call)
    const answered = () => {
      call.answers++
      call.answeredMs = this.clock.monotonicMs()
    }
    this.batcher.call(input, deadline).then(
      (result) => {
        answered()
        call.result = result
      },
      (error: HeadraceError) => {
        answered()
        call.error = error
      },
    )
  }

  /** The calls whose rows are in a run. */
  callsOf(batch: TensorMap): Call[] {
    const present = new Set(batch.get('x')!.data as Float32Array)
    return this.calls.filter(({ input }) => (input.tensors.get('x')!.data as Float32Array).some((v) => present.has(v)))
  }

  expectRightAnswers(): void {
    for (const call of this.calls) {
      expect(call.answers).toBe(1)
      expect(call.answeredMs).toBeLessThanOrEqual(call.deadlineMs)
      if (call.result === undefined) {
        expect(call.error).toBeInstanceOf(HeadraceError)
        this.#expectDeserved(call, call.error!)
        continue
      }
      const alone = this.compute(call.input.tensors)
      const names = call.input.outputs ?? DOUBLER.outputs.map(({ name }) => name)
      expect([...call.result.outputs.keys()]).toEqual(names)
      for (const name of names) expect(call.result.outputs.get(name)).toEqual(alone.get(name))
      expect(call.result.queueMs).toBeGreaterThanOrEqual(0)
      expect(call.result.queueMs + call.result.computeMs).toBeCloseTo(call.answeredMs - call.arrivedMs, 6)
    }
  }

  #expectDeserved(call: Call, error: HeadraceError): void {
    switch (error.code) {
      case 'SERVING_DEADLINE_EXCEEDED':
        expect(call.answeredMs).toBe(call.deadlineMs)
        break
      case 'SERVING_CANCELLED':
        expect(call.input.cancelled).toBe(true)
        break
      case 'SERVING_QUEUE_FULL':
      case 'SERVING_OVERLOADED':
        expect(call.answeredMs).toBe(call.arrivedMs)
        break
      case 'SERVING_RUN_FAILED':
        expect(call.isPoisoned).toBe(true)
        break
      case 'SERVING_RUN_TIMEOUT':
        expect(this.backend.runs.map((run) => run.startedMs + RUN_LIMIT_MS)).toContain(call.answeredMs)
        break
      case 'SERVING_MODEL_UNREADY':
        expect(this.readiness.length).toBeGreaterThan(0)
        break
      default:
        throw error
    }
  }
}

describe('the batcher, whatever happens', () => {
  it('gives every caller its own rows, once, in time, and fails only the guilty', async () => {
    await fc.assert(
      fc.asyncProperty(setups, events(sometimes, 20), async (setup, script) => {
        const world = new World(setup, failOnPoison)
        await world.play(script)
        await world.finishAll()
        world.expectRightAnswers()
      }),
      { numRuns: 120 },
    )
  })

  it('keeps its limits: rows, shapes and runs at once, and runs nothing that is late, cancelled or answered', async () => {
    await fc.assert(
      fc.asyncProperty(setups, events(sometimes, 20), async (setup, script) => {
        const world = new World(setup, failOnPoison)
        const { backend, clock } = world
        const run = backend.run.bind(backend)
        backend.run = (batch, context) => {
          expect(backend.pending.length).toBeLessThan(setup.concurrency)
          const { shape, data } = batch.get('x')!
          expect(data.length).toBe(shape[0]! * shape[1]!)
          expect(shape[0]).toBeLessThanOrEqual(world.rowsLimit)
          const members = world.callsOf(batch)
          for (const { input, deadlineMs, answers } of members) {
            expect(answers).toBe(0)
            expect(input.tensors.get('x')!.shape[1]).toBe(shape[1])
            expect(input.cancelled).toBe(false)
            expect(deadlineMs).toBeGreaterThan(clock.monotonicMs())
          }
          // A call alone is not copied.
          if (members.length === 1 && members[0]!.input.rows <= MAX_BATCH_ROWS)
            expect(batch.get('x')).toBe(members[0]!.input.tensors.get('x'))
          return run(batch, context)
        }
        await world.play(script)
        await world.finishAll()
        world.expectRightAnswers()
      }),
      { numRuns: 120 },
    )
  })

  it('never leaves a slot free while a call waits for one', async () => {
    await fc.assert(
      fc.asyncProperty(setups, events(never, 20), async (setup, script) => {
        const world = new World(setup, failOnPoison)
        for (const event of script) {
          await world.play([event, { kind: 'turn' }])
          const { pending } = world.backend
          if (pending.length === setup.concurrency) continue
          const running = new Set(pending.flatMap((run) => world.callsOf(run.batch)))
          expect(world.calls.filter((call) => call.answers === 0 && !running.has(call))).toEqual([])
        }
      }),
      { numRuns: 100 },
    )
  })

  it('answers rightly for a model whose outputs are not per row, by running calls alone', async () => {
    await fc.assert(
      fc.asyncProperty(setups, events(never, 20), async (setup, script) => {
        const world = new World(setup, sumOfAll)
        await world.play(script)
        await world.finishAll()
        // A single row in, a single row out: nothing can be told from that, and nothing needs to be.
        world.expectRightAnswers()
      }),
      { numRuns: 100 },
    )
  })

  it('answers rightly, and soon without failing first, for a graph with a batch of 1 inside', async () => {
    const singles = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: arrival(never).map((event) => ({ ...event, rows: 1, limitMs: Infinity }) as Event) },
        fc.constant<Event>({ kind: 'turn' }),
        fc.record({ kind: fc.constant('finish' as const), pick }),
      ),
      { minLength: 20, maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(setups, singles, async (setup, script) => {
        const world = new World(setup, failInCompany)
        await world.play(script)
        await world.finishAll()
        world.expectRightAnswers()
        expect(world.calls.filter((call) => call.error && call.error.code !== 'SERVING_QUEUE_FULL')).toEqual([])
      }),
      { numRuns: 100 },
    )
  })

  it('answers everyone in time when runs hang, and serves again when they return', async () => {
    await fc.assert(
      fc.asyncProperty(setups, events(sometimes, 150), async (setup, script) => {
        const world = new World(setup, failOnPoison)
        await world.play(script)
        await world.finishAll()
        world.expectRightAnswers()
        expect(world.readiness.at(-1)).toBe(undefined)
        expect(world.readiness.map((reason) => reason === undefined)).toEqual(
          world.readiness.map((_, i) => i % 2 === 1),
        )
      }),
      { numRuns: 120 },
    )
  })
})
