// What the batcher decides about time, on virtual time with a backend whose cost is known: who is turned away, who runs, who waits,
// and that everybody is answered once whatever arrives.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeManifest, settled } from '../../test/support/fake-backend.js'
import {
  type HeadraceError,
  ManualClock,
  type ModelName,
  seededRandom,
  silentLogger,
  testPlatform,
} from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { BatchingOptions } from '../tensor/index.js'
import { Batcher } from './batcher.js'
import { createServingMetrics } from './metrics.js'
import type { LeafInput, LeafResult, Priority } from './types.js'

interface Setup {
  readonly rowMs: number
  readonly runMs: number
  readonly concurrency?: number
  readonly batching?: Partial<BatchingOptions>
  readonly noise?: () => number
  readonly fails?: (run: number) => boolean
}

interface Call {
  readonly input: LeafInput
  readonly value: number
  readonly priority: Priority
  readonly arrivedMs: number
  readonly deadlineMs: number
  answeredMs: number
  answers: number
  result: LeafResult | undefined
  error: HeadraceError | undefined
}

class World {
  readonly clock = new ManualClock()
  readonly calls: Call[] = []
  readonly backend: FakeBackend
  readonly batcher: Batcher
  readonly metrics = testPlatform().metrics
  #due: (() => void)[] = []
  #values = 0

  constructor({ rowMs, runMs, concurrency = 1, batching = {}, noise = () => 1, fails = () => false }: Setup) {
    const { clock } = this
    const version = { model: 'm' as ModelName, version: 1 }
    this.backend = new FakeBackend({
      clock,
      concurrency,
      runMs: ({ rows }, number) => (fails(number) ? new Error('no luck') : (runMs + rowMs * rows) * noise()),
    })
    this.batcher = new Batcher({
      version,
      backend: this.backend,
      manifest: fakeManifest({ batching }),
      clock,
      logger: silentLogger,
      metrics: createServingMetrics(this.metrics).bind(version),
      defer: (callback) => this.#due.push(callback),
      onReadiness: () => undefined,
    })
  }

  call(limitMs = Number.POSITIVE_INFINITY, { rows = 1, width = 1, priority = 'normal' as Priority } = {}): Call {
    const value = ++this.#values
    const input: LeafInput = {
      ...doublerInput(Array.from({ length: rows }, () => new Array(width).fill(value))),
      priority,
    }
    const arrivedMs = this.clock.monotonicMs()
    const base = { answeredMs: Number.NaN, answers: 0, result: undefined, error: undefined }
    const call: Call = { input, value, priority, arrivedMs, deadlineMs: arrivedMs + limitMs, ...base }
    this.calls.push(call)
    const deadline = limitMs === Number.POSITIVE_INFINITY ? Deadline.none(this.clock) : Deadline.in(this.clock, limitMs)
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
    return call
  }

  /** The turn of the event loop ends, and everything that can go on does. */
  async settle(): Promise<void> {
    do {
      for (const callback of this.#due.splice(0)) callback()
      await settled()
    } while (this.#due.length > 0)
  }

  /** Time passes in steps of half a millisecond. */
  async pass(ms: number): Promise<void> {
    await this.settle()
    for (let passed = 0; passed < ms; passed += 0.5) {
      this.clock.advance(0.5)
      await this.settle()
    }
  }

  /** The cost model sees runs of several sizes. */
  async learn(): Promise<void> {
    for (let i = 0; i < 24; i++) {
      for (let n = 0; n < 1 + (i % 4) * 5; n++) this.call()
      while (this.backend.pending.length > 0 || i === -1 || this.#due.length > 0) await this.pass(1)
    }
    this.calls.length = 0
    this.backend.runs.length = 0
  }

  async finish(): Promise<void> {
    await this.settle()
    while (this.calls.some(({ answers }) => answers === 0)) await this.pass(1)
  }

  expectRightAnswers(): void {
    for (const { answers, result, value, answeredMs, deadlineMs, input } of this.calls) {
      expect(answers).toBe(1)
      expect(answeredMs).toBeLessThanOrEqual(deadlineMs + 0.002)
      if (result === undefined) continue
      const double = result.outputs.get('double')!
      expect(double.shape).toEqual(input.tensors.get('x')!.shape)
      expect(new Set(double.data as Float32Array)).toEqual(new Set([2 * value]))
    }
  }

  /** Values of the calls in each run. */
  ran(): number[][] {
    return this.backend.runs.map(({ batch }) => [...new Set(batch.get('x')!.data as Float32Array)])
  }

  async dispatched(reason: string): Promise<number> {
    const line = (await this.metrics.expose())
      .split('\n')
      .find((text) => text.startsWith('ml_batch_dispatch_total') && text.includes(`reason="${reason}"`))
    return Number(line?.split(' ').at(-1))
  }
}

const SLOW_START = { rowMs: 0.5, runMs: 8 }

describe('who is turned away', () => {
  it('nobody before enough runs were seen, however slow they are', async () => {
    const world = new World(SLOW_START)
    for (let i = 0; i < 3; i++) {
      world.call()
      await world.finish()
    }
    world.call()
    await world.settle()
    const calls = Array.from({ length: 40 }, () => world.call(9))
    await world.settle()
    expect(calls.every(({ error }) => error === undefined)).toBe(true)
  })

  it('at once, who would be late, with the time to come back after; and nobody who would not be', async () => {
    const world = new World(SLOW_START)
    await world.learn()
    world.call()
    await world.settle()
    for (let i = 0; i < 32; i++) world.call(36)
    // 8.5 ms for the run under way, 24 for the 32 before it, 8.5 for its own.
    const late = world.call(38)
    const fine = world.call(52)
    await world.settle()
    expect(late.error?.toJSON()).toMatchObject({ code: 'SERVING_OVERLOADED', status: 429, retry: true })
    expect(late.answeredMs).toBe(late.arrivedMs)
    const { expectedMs, leftMs, retryAfterMs } = late.error!.params as Record<string, number>
    expect(leftMs).toBe(38)
    expect(expectedMs).toBeGreaterThan(38)
    expect(expectedMs).toBeLessThan(50)
    expect(retryAfterMs).toBeGreaterThan(0)
    await world.finish()
    expect(fine.result).toBeDefined()
  })

  it('nobody when the backend is idle, even if its run is expected to take too long: that run may prove the model wrong', async () => {
    let factor = 1
    const world = new World({ ...SLOW_START, noise: () => factor })
    await world.learn()
    factor = 0.1
    for (let i = 0; i < 12; i++) {
      const call = world.call(5)
      await world.pass(6)
      expect(call.result).toBeDefined()
    }
    expect(world.batcher.expectedMs(1)).toBeLessThan(3)
  })

  it('those of lower priority when the queue is full, the latest due first, down to their share of it', async () => {
    const world = new World({ ...SLOW_START, batching: { maxQueueRows: 42 } })
    world.call()
    await world.settle()
    const low = Array.from({ length: 40 }, () => world.call(undefined, { priority: 'low' }))
    const high = Array.from({ length: 50 }, () => world.call(undefined, { priority: 'high' }))
    await world.settle()
    // Two of 42 rows are kept for low.
    expect(low.filter(({ error }) => error?.code === 'SERVING_DISPLACED').length).toBe(38)
    expect(low.slice(0, 2).every(({ error }) => error === undefined)).toBe(true)
    expect(high.filter(({ error }) => error?.code === 'SERVING_QUEUE_FULL').length).toBe(10)
    await world.finish()
    expect(high.filter(({ result }) => result !== undefined).length).toBe(40)
  })

  it('at the time of a run, who cannot be in time any more, instead of running it for nothing', async () => {
    let factor = 1
    const world = new World({ ...SLOW_START, noise: () => factor })
    await world.learn()
    factor = 4
    world.call()
    await world.settle()
    factor = 1
    const doomed = world.call(40)
    const other = world.call()
    await world.finish()
    expect(doomed.error?.code).toBe('SERVING_OVERLOADED')
    expect(other.result).toBeDefined()
    expect(world.ran().flat()).not.toContain(doomed.value)
  })

  it('keeps its word under three times the load: 99 % of those let in are in time, the rest hear of it at once', async () => {
    const random = seededRandom(5)
    const world = new World({ rowMs: 0.2, runMs: 5, noise: () => 0.9 + 0.2 * random.next() })
    await world.learn()
    // 64 rows in 17.8 ms are the most; three times that.
    for (let i = 0; i < 1600; i++) {
      for (let n = 0; n < 6; n++) if (random.next() < 0.9) world.call(100)
      await world.pass(0.5)
    }
    await world.finish()
    const refused = world.calls.filter(({ error }) => error?.code === 'SERVING_OVERLOADED')
    const admitted = world.calls.filter(
      ({ error, answeredMs, arrivedMs }) => error === undefined || answeredMs > arrivedMs + 5,
    )
    const good = world.calls.filter(({ result }) => result !== undefined)
    expect(refused.length).toBeGreaterThan(world.calls.length / 3)
    expect(good.length / admitted.length).toBeGreaterThanOrEqual(0.99)
    // And the backend is used to the full.
    expect(good.length).toBeGreaterThan(0.9 * (64 / 17.8) * 800)
    world.expectRightAnswers()
  })

  it('keeps its word where one run in eight takes three times as long, once it has seen some', async () => {
    const random = seededRandom(7)
    const world = new World({ rowMs: 0.2, runMs: 5, noise: () => (random.next() < 1 / 8 ? 3 : 1) })
    await world.learn()
    for (let i = 0; i < 8_000; i++) {
      for (let n = 0; n < 6; n++) if (random.next() < 0.9) world.call(200)
      await world.pass(0.5)
    }
    await world.finish()
    const late = world.calls.slice(-20_000)
    const admitted = late.filter(
      ({ error, answeredMs, arrivedMs }) => error === undefined || answeredMs > arrivedMs + 5,
    )
    const good = late.filter(({ result }) => result !== undefined)
    expect(good.length / admitted.length).toBeGreaterThanOrEqual(0.99)
  })
})

describe('who runs', () => {
  it('by deadline within a priority, and by arrival without one', async () => {
    const world = new World({ ...SLOW_START, batching: { maxBatchSize: 1, maxBatchSizeUnderPressure: 1 } })
    world.call()
    await world.settle()
    const [a, b, c, d] = [world.call(), world.call(900), world.call(800), world.call()]
    await world.finish()
    expect(world.ran().flat()).toEqual([1, c.value, b.value, a.value, d.value])
  })

  it('calls that are small before one that is much larger, when there is time for only some of them', async () => {
    const world = new World({ rowMs: 2, runMs: 1 })
    await world.learn()
    world.call()
    await world.settle()
    const large = world.call(52, { rows: 20 })
    const small = Array.from({ length: 10 }, () => world.call(60))
    await world.finish()
    expect(small.every(({ result }) => result !== undefined)).toBe(true)
    expect(large.error?.status).toBeGreaterThanOrEqual(429)
  })

  it('a smaller batch when a larger one would make its most urgent call late', async () => {
    const world = new World(SLOW_START)
    await world.learn()
    world.call()
    await world.settle()
    const urgent = world.call(8.5 + 12)
    const others = Array.from({ length: 31 }, () => world.call(200))
    await world.finish()
    expect(urgent.result).toBeDefined()
    expect(others.every(({ result }) => result !== undefined)).toBe(true)
    expect(world.ran()[1]!.length).toBeLessThan(9)
    expect(await world.dispatched('deadline')).toBe(1)
  })

  it('who may just make it, on the second slot too', async () => {
    const world = new World({ ...SLOW_START, concurrency: 2 })
    await world.learn()
    world.call()
    await world.settle()
    // Less than a run is safely expected to take, and not so little that it is hopeless.
    const close = world.call(8.52)
    await world.finish()
    expect(close.result).toBeDefined()
  })

  it('more rows under pressure, and the usual number after it', async () => {
    const world = new World({ ...SLOW_START, batching: { maxBatchSize: 4 } })
    for (let i = 0; i < 60; i++) world.call()
    await world.finish()
    expect(world.backend.runs.map(({ rows }) => rows)).toEqual(
      [4, 4, 8, 8, 8, 8, 8, 8, 4].slice(0, world.backend.runs.length),
    )
    expect(await world.metrics.expose()).toContain('ml_batch_rows_limit{model="m",version="1"} 8')
    for (let i = 0; i < 40; i++) {
      world.call()
      await world.finish()
    }
    expect(await world.metrics.expose()).toContain('ml_batch_rows_limit{model="m",version="1"} 4')
  })

  it('a preferred number of rows when as many wait', async () => {
    const world = new World({ ...SLOW_START, batching: { preferredBatchSizes: [4, 8] } })
    world.call()
    await world.settle()
    for (let i = 0; i < 11; i++) world.call()
    await world.finish()
    expect(world.backend.runs.map(({ rows }) => rows)).toEqual([1, 8, 3])
  })

  it('says why each run was started', async () => {
    const world = new World({
      ...SLOW_START,
      batching: { maxBatchSize: 2, maxBatchSizeUnderPressure: 2 },
      fails: (run) => run === 1,
    })
    for (let i = 0; i < 2; i++) world.call()
    await world.finish()
    for (const width of [1, 1, 1, 2]) world.call(undefined, { width })
    await world.finish()
    const reasons = ['idle', 'full', 'shape', 'deadline', 'delay', 'rerun']
    expect(await Promise.all(reasons.map((reason) => world.dispatched(reason)))).toEqual([2, 1, 1, 0, 0, 2])
  })
})

describe('a free slot', () => {
  const tight = { rowMs: 0.1, runMs: 8 }

  it('waits for more where calls that arrive during a run could not be in time, and never longer than it may', async () => {
    const random = seededRandom(3)
    for (const [maxDelayMs, most] of [
      [0, 0],
      [3, 3],
    ] as const) {
      const world = new World({ ...tight, batching: { maxDelayMs } })
      await world.learn()
      let longestHoldMs = 0
      let holdMs = 0
      for (let i = 0; i < 4000; i++) {
        if (random.next() < 0.2) world.call(15)
        await world.pass(0.5)
        const isFree = world.backend.pending.length === 0 && world.calls.some(({ answers }) => answers === 0)
        holdMs = isFree ? holdMs + 0.5 : 0
        longestHoldMs = Math.max(longestHoldMs, holdMs)
      }
      await world.finish()
      world.expectRightAnswers()
      const held = await world.dispatched('delay')
      if (most === 0) expect(held).toBe(0)
      else expect(held).toBeGreaterThan(10)
      // A slot is free and somebody waits: for how long?
      expect(longestHoldMs).toBeLessThanOrEqual(most + 0.5)
    }
  })

  it('that nobody is left to wait for starts the next wait anew', async () => {
    const random = seededRandom(3)
    const world = new World({ ...tight, batching: { maxDelayMs: 3 } })
    await world.learn()
    let isHeld = false
    for (let i = 0; i < 4000 && !isHeld; i++) {
      await world.pass(0.5)
      if (random.next() < 0.2) world.call(15)
      await world.settle()
      isHeld = world.backend.pending.length === 0 && world.calls.some(({ answers }) => answers === 0)
    }
    expect(isHeld).toBe(true)
    for (const { input } of world.calls) input.cancelled = true
    world.batcher.dropCancelled()
    await world.pass(100)
    const delayed = await world.dispatched('delay')
    world.call(15)
    await world.settle()
    expect(await world.dispatched('delay')).toBe(delayed)
  })

  it('lets more calls be in time by it', async () => {
    const inTime = async (maxDelayMs: number, seed: number) => {
      const random = seededRandom(seed)
      const world = new World({ ...tight, batching: { maxDelayMs } })
      await world.learn()
      for (let i = 0; i < 4000; i++) {
        if (random.next() < 0.2) world.call(15)
        await world.pass(0.5)
      }
      await world.finish()
      return world.calls.filter(({ result }) => result !== undefined).length / world.calls.length
    }
    for (const seed of [1, 2, 3]) expect(await inTime(10, seed)).toBeGreaterThan(1.03 * (await inTime(0, seed)))
  })

  it('does not wait for calls that have the time to wait for the next run', async () => {
    const world = new World(tight)
    await world.learn()
    for (let i = 0; i < 200; i++) {
      const call = world.call(100)
      await world.settle()
      if (world.backend.pending.length === 1 && world.backend.pending[0]!.startedMs === call.arrivedMs) continue
      await world.pass(4)
    }
    expect(await world.dispatched('delay')).toBe(0)
  })
})

describe('a caller that goes away', () => {
  it('leaves the queue within 10 ms, with all that waits for it', async () => {
    const world = new World({
      rowMs: 0,
      runMs: 30,
      fails: (run) => run === 1,
      batching: { maxBatchSize: 4, maxBatchSizeUnderPressure: 4 },
    })
    // A batch that failed, of which a half waits to run again; a large request in parts; and single calls.
    const failing = Array.from({ length: 4 }, () => world.call())
    await world.settle()
    const large = world.call(undefined, { rows: 11 })
    const single = world.call()
    const kept = world.call()
    await world.settle()
    const gone = [failing[2]!, failing[3]!, large, single]
    for (const { input } of gone) input.cancelled = true
    // What the server does: it gathers such news over at most 5 ms.
    world.clock.after(5, () => world.batcher.dropCancelled())
    await world.pass(10)
    for (const { error, answeredMs } of gone) {
      expect(error?.code).toBe('SERVING_CANCELLED')
      expect(answeredMs).toBeLessThanOrEqual(10)
    }
    await world.finish()
    expect(kept.result).toBeDefined()
    expect(world.ran().flat()).not.toContain(large.value)
    expect(await world.metrics.expose()).toContain('ml_queue_rows{model="m",version="1"} 0')
  })
})

describe('how long a call should take', () => {
  it('is unknown at first, then the run alone, and more behind a queue', async () => {
    const world = new World(SLOW_START)
    expect(world.batcher.expectedMs(1)).toBe(undefined)
    await world.learn()
    expect(world.batcher.expectedMs(1)).toBeCloseTo(8.5, 0)
    world.call()
    await world.settle()
    for (let i = 0; i < 64; i++) world.call()
    await world.settle()
    expect(world.batcher.expectedMs(1)).toBeGreaterThan(8.5 + 48)
    await world.finish()
    expect(world.batcher.expectedMs(1)).toBeCloseTo(8.5, 0)
  })
})

describe('whatever arrives', () => {
  it('everybody is answered once, with their own rows, in time, and nobody waits longer than the bound', async () => {
    const arrival = fc.record({
      gapMs: fc.constantFrom(0, 0, 0, 0.5, 1, 5),
      limitMs: fc.constantFrom(5, 20, 60, 300, Number.POSITIVE_INFINITY),
      rows: fc.constantFrom(1, 1, 1, 2, 5, 20),
      width: fc.constantFrom(1, 1, 1, 2),
      priority: fc.constantFrom<Priority>('high', 'normal', 'normal', 'low'),
      isCancelled: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    })
    const setup = fc.record({
      rowMs: fc.constantFrom(0, 0.2, 1),
      runMs: fc.constantFrom(0.5, 4),
      concurrency: fc.integer({ min: 1, max: 3 }),
      failEvery: fc.constantFrom(0, 0, 7),
      maxDelayMs: fc.constantFrom(0, 10),
      allowedBatchSizes: fc.constantFrom(undefined, [2, 8, 16]),
      preferredBatchSizes: fc.constantFrom(undefined, [4]),
    })
    const MAX_WAIT_MS = 40
    await fc.assert(
      fc.asyncProperty(setup, fc.array(arrival, { minLength: 1, maxLength: 120 }), async (options, arrivals) => {
        const { rowMs, runMs, concurrency, failEvery, ...batching } = options
        const world = new World({
          rowMs,
          runMs,
          concurrency,
          fails: (run) => failEvery > 0 && run % failEvery === 0,
          batching: {
            ...batching,
            maxBatchSize: 8,
            maxBatchSizeUnderPressure: 16,
            maxQueueRows: 100,
            maxWaitMs: MAX_WAIT_MS,
          },
        })
        const run = world.backend.run.bind(world.backend)
        world.backend.run = (batch, context) => {
          expect(world.backend.pending.length).toBeLessThan(concurrency)
          const rows = batch.get('x')!.shape[0]!
          expect(rows).toBeLessThanOrEqual(16)
          if (batching.allowedBatchSizes !== undefined) expect(batching.allowedBatchSizes).toContain(rows)
          return run(batch, context)
        }
        for (const { gapMs, limitMs, isCancelled, ...what } of arrivals) {
          const call = world.call(limitMs, what)
          await world.pass(gapMs)
          if (isCancelled && call.answers === 0) {
            call.input.cancelled = true
            world.batcher.dropCancelled()
          }
        }
        await world.finish()
        world.expectRightAnswers()
        // maxWaitMs, then two runs for each member before it; a request in parts waits once for each; failures run again by halves.
        const longestRunMs = runMs + 16 * rowMs
        for (const { result, input } of world.calls) {
          if (result === undefined || failEvery > 0) continue
          const parts = Math.ceil(input.rows / 2)
          const before = arrivals.length * 2 * longestRunMs
          expect(result.queueMs).toBeLessThanOrEqual(MAX_WAIT_MS + parts * before)
        }
        const failed = world.calls.filter(({ error }) => error?.code === 'SERVING_RUN_FAILED')
        if (failEvery === 0) expect(failed).toEqual([])
        expect(await world.metrics.expose()).toContain('ml_queue_rows{model="m",version="1"} 0')
      }),
      { numRuns: 60 },
    )
  })
})
