// The rules by which the rivals decide, each on a hand-made trace, and the laws of the simulation.
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/core/index.js'
import { bentoMLWith, Optimizer } from './bentoml.js'
import { bound } from './bound.js'
import { createHeadrace } from './headrace.js'
import { capacity, Instance, MODELS, type ModelCost, runMs } from './model.js'
import { createOneByOne } from './one-by-one.js'
import { type CreateScheduler, type Request, replay } from './replay.js'
import { FAMILIES, makeTrace } from './traces.js'
import { type TritonConfig, tritonWith } from './triton.js'
import { VirtualClock } from './virtual-clock.js'

const MODEL: ModelCost = { name: 'ten', rowMs: 0, baseMs: 10 }
const FOREVER = 1e9

interface Served {
  /** Rows of each run, in order. */
  readonly runs: number[]
  /** By request: when and how it was answered. */
  readonly answers: { readonly atMs: number; readonly isServed: boolean }[]
}

/** Submits requests at their times and runs the rest to its end; runs take exactly 10 ms. */
function play(
  create: CreateScheduler,
  requests: readonly { readonly atMs: number; readonly rows?: number; readonly limitMs?: number }[],
): Served {
  const clock = new VirtualClock()
  const runs: number[] = []
  class ExactInstance extends Instance {
    override run(rows: number, done: () => void): void {
      runs.push(rows)
      clock.after(10, done)
    }
  }
  const scheduler = create({ clock, instance: new ExactInstance(clock, MODEL, 1), model: MODEL })
  const answers: Served['answers'] = []
  requests.forEach(({ atMs, rows = 1, limitMs = FOREVER }, i) => {
    clock.after(atMs, () => {
      const answer: Request['answer'] = (isServed) => {
        answers[i] = { atMs: clock.monotonicMs(), isServed }
      }
      scheduler.submit({ rows, limitMs, arrivedMs: atMs, answer })
    })
  })
  for (let steps = 0; clock.step(); steps++) if (steps > 100_000) throw new Error('The scheduler never comes to rest.')
  return { runs, answers }
}

const triton = (config: Partial<TritonConfig>): CreateScheduler => tritonWith({ maxBatchSize: 8, ...config })
const timeouts = { defaultTimeoutMs: FOREVER, timeoutMs: ({ limitMs }: Request) => limitMs }
const at = (...times: number[]): { atMs: number }[] => times.map((atMs) => ({ atMs }))

describe('Triton', () => {
  it('sends the first request alone and gathers the rest while it runs, without a delay', () => {
    expect(play(triton({}), at(0, 1, 2, 3)).runs).toEqual([1, 3])
  })

  it('fills batches to the largest size and leaves the rest for the next', () => {
    expect(play(triton({ maxBatchSize: 4 }), at(0, 1, 1, 1, 1, 1, 1)).runs).toEqual([1, 4, 2])
  })

  it('does not split a request to fill a batch', () => {
    const requests = [{ atMs: 0 }, { atMs: 1, rows: 3 }, { atMs: 1, rows: 3 }, { atMs: 1, rows: 1 }]
    expect(play(triton({ maxBatchSize: 4 }), requests).runs).toEqual([1, 3, 4])
  })

  it('waits for a preferred size for as long as the delay of the oldest, and no longer', () => {
    const config = { preferredBatchSizes: [4], maxQueueDelayMs: 5, ...timeouts }
    expect(play(triton(config), at(0, 1, 2, 3)).answers.map(({ atMs }) => atMs)).toEqual([13, 13, 13, 13])
    expect(play(triton(config), at(0, 1)).answers.map(({ atMs }) => atMs)).toEqual([15, 15])
  })

  it('sends the largest preferred prefix when more than that waits', () => {
    const config = { preferredBatchSizes: [2, 4], ...timeouts }
    expect(play(triton(config), at(0, 1, 1, 1, 1, 1, 1)).runs).toEqual([1, 4, 2])
  })

  it('rejects what has waited beyond its timeout when the batch is made, and runs what has not however late it will be', () => {
    const requests = [{ atMs: 0 }, { atMs: 1, limitMs: 5 }, { atMs: 2, limitMs: 9 }]
    const { runs, answers } = play(triton(timeouts), requests)
    expect(runs).toEqual([1, 1])
    expect(answers.map(({ isServed }) => isServed)).toEqual([true, false, true])
    expect(answers[2]!.atMs).toBe(20)
  })

  it('ignores the timeout of a request when no default timeout is set', () => {
    const config = { ...timeouts, defaultTimeoutMs: 0 }
    expect(play(triton(config), [{ atMs: 0 }, { atMs: 1, limitMs: 5 }]).runs).toEqual([1, 1])
  })

  it('refuses at a full queue', () => {
    const { answers } = play(triton({ maxQueueSize: 2 }), at(0, 1, 1, 1))
    expect(answers.map(({ isServed }) => isServed)).toEqual([true, true, true, false])
  })

  it('serves higher levels first and fills up with lower ones', () => {
    const priority = ({ limitMs }: Request): number => (limitMs < 100 ? 1 : 2)
    const requests = [{ atMs: 0 }, { atMs: 1 }, { atMs: 1 }, { atMs: 1, limitMs: 50 }]
    const { runs, answers } = play(triton({ maxBatchSize: 2, priority, ...timeouts }), requests)
    expect(runs).toEqual([1, 2, 1])
    expect(answers.map(({ atMs }) => atMs)).toEqual([10, 20, 30, 20])
  })

  it('prefetches two batches when nothing can expire, so that their order is fixed early', () => {
    expect(play(triton({ maxBatchSize: 2 }), at(0, 1, 1, 1, 1, 1)).runs).toEqual([1, 2, 2, 1])
  })
})

describe('BentoML', () => {
  /** Enough lone requests to end its training: 8 + 1 alone, then its batches of 2 and 3. */
  const training = [...at(...Array.from({ length: 9 }, (_, i) => 20 * i)), ...at(200, 200, 240, 240, 240)]

  it('trains with lone requests, then with two and three', () => {
    expect(play(bentoMLWith({ maxBatchSize: 8, maxLatencyMs: 100 }), training).runs.slice(0, 11)).toEqual([
      1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3,
    ])
  })

  it('runs one batch at a time and looks for its end every millisecond', () => {
    const { runs, answers } = play(bentoMLWith({ maxBatchSize: 8, maxLatencyMs: 100 }), [
      ...training,
      ...at(300.5, 301.25, 302.5),
    ])
    expect(runs.slice(11)).toEqual([1, 2])
    expect(answers.at(-1)!.atMs).toBe(321.25)
  })

  it('sheds the head of a queue that it expects to finish late', () => {
    const { answers } = play(bentoMLWith({ maxBatchSize: 1, maxLatencyMs: 25 }), [
      ...training,
      ...at(300, 300, 300, 300),
    ])
    expect(answers.slice(-4).filter(({ isServed }) => isServed).length).toBeLessThan(4)
    for (const { atMs } of answers.slice(-4)) expect(atMs).toBeLessThanOrEqual(300 + 25 + 10)
  })

  it('splits a request that does not fit into the rest of a batch', () => {
    const requests = [...training, { atMs: 300 }, { atMs: 301, rows: 3 }, { atMs: 301, rows: 3 }]
    const { runs, answers } = play(bentoMLWith({ maxBatchSize: 4, maxLatencyMs: 100 }), requests)
    expect(runs.slice(-2)).toEqual([4, 2])
    expect(answers.at(-1)!.isServed).toBe(true)
  })

  it('fits a and b of its batches by least squares, and takes the least norm when all were alike', () => {
    const optimizer = new Optimizer(100, 0)
    for (const n of [1, 1, 1, 2, 5]) optimizer.log(n, 0, 3 * n + 7, 0)
    optimizer.refresh()
    expect(optimizer.a).toBeCloseTo(3)
    expect(optimizer.b).toBeCloseTo(7)
    // numpy.linalg.lstsq([[2, 1], [2, 1]], [10, 10]) gives [4, 2].
    const alike = new Optimizer(100, 0)
    for (let i = 0; i < 4; i++) alike.log(2, 0, 10, 0)
    alike.refresh()
    expect([alike.a, alike.b]).toEqual([4, 2])
  })
})

describe('the simulation', () => {
  it('gives the same trace for the same seed, at the load it was asked for', () => {
    for (const family of FAMILIES) {
      for (const model of MODELS) {
        const trace = makeTrace(family, model, 0.9, 20_000, 7)
        expect(makeTrace(family, model, 0.9, 20_000, 7)).toEqual(trace)
        const rows = trace.reduce((sum, arrival) => sum + arrival.rows, 0)
        expect(rows / 20_000 / capacity(model), family.name).toBeGreaterThan(0.7)
        expect(rows / 20_000 / capacity(model), family.name).toBeLessThan(1.1)
      }
    }
  })

  it('answers every request of an idle model in time, whoever schedules', async () => {
    const trace = makeTrace(FAMILIES[0]!, MODELS[0]!, 0.01, 10_000, 1)
    const calm = trace.map((arrival) => ({ ...arrival, limitMs: 1000 }))
    for (const create of [
      createOneByOne,
      createHeadrace,
      triton({}),
      bentoMLWith({ maxBatchSize: 8, maxLatencyMs: 500 }),
    ]) {
      const { misses, late, refused } = await replay(calm, MODELS[0]!, 1, create)
      expect([misses, late, refused]).toEqual([0, 0, 0])
    }
  })

  it('without batching serves what a lone run allows, and nothing in time once the queue has grown', async () => {
    const model = MODELS[1]!
    const trace = makeTrace(FAMILIES[0]!, model, 1.3, 10_000, 1)
    const outcome = await replay(trace, model, 1, createOneByOne)
    expect(outcome.meanBatchRows).toBe(1)
    expect(outcome.refused).toBe(0)
    expect(outcome.good * runMs(model, 1)).toBeLessThan(1000)
  })

  it('bounds what can be in time: no more rows than slots before their deadlines, in the smallest requests', () => {
    const model: ModelCost = { name: 'one row a millisecond', rowMs: 1, baseMs: 0 }
    const burst = (limitMs: number, rows = 1) => Array.from({ length: 10 }, () => ({ atMs: 0, rows, limitMs }))
    expect(bound(burst(10), model)).toBe(1)
    expect(bound(burst(4), model)).toBe(0.4)
    expect(bound([...burst(4), ...burst(20)], model)).toBe(0.7)
    // Eight rows of time: the eight requests of a row, before those of three.
    expect(bound([...burst(8), ...burst(8, 3)], model)).toBe(0.4)
  })

  it('leaves nobody above the bound', async () => {
    for (const family of FAMILIES) {
      const trace = makeTrace(family, MODELS[1]!, 1.3, 5000, 3)
      const most = bound(trace, MODELS[1]!)
      for (const create of [createHeadrace, triton(timeouts), bentoMLWith({ maxBatchSize: 8, maxLatencyMs: 24 })]) {
        const { misses } = await replay(trace, MODELS[1]!, 1, create)
        expect(1 - misses).toBeLessThan(most)
      }
    }
  })

  it('fails when a request is answered twice or never', async () => {
    const trace = makeTrace(FAMILIES[0]!, MODELS[0]!, 0.1, 1000, 1)
    const twice: CreateScheduler = () => ({
      submit({ answer }) {
        answer(true)
        answer(true)
      },
    })
    await expect(replay(trace, MODELS[0]!, 1, twice)).rejects.toThrow('twice')
    await expect(replay(trace, MODELS[0]!, 1, () => ({ submit() {} }))).rejects.toThrow('never')
  })

  it('runs timers in order of time, then of creation, and not those that were cancelled', () => {
    const clock = new VirtualClock()
    const random = seededRandom(3)
    const seen: number[] = []
    const times = Array.from({ length: 500 }, () => Math.floor(random.next() * 100))
    const timers = times.map((atMs, i) => clock.after(atMs, () => seen.push(i)))
    for (let i = 0; i < timers.length; i += 3) timers[i]!.cancel()
    while (clock.step());
    const expected = times.map((_, i) => i).filter((i) => i % 3 !== 0)
    expect(seen).toEqual(expected.sort((a, b) => times[a]! - times[b]! || a - b))
  })
})
