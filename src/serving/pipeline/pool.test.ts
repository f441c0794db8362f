// A pipeline and its steps in the real pool, where all of them rest and wake under one budget.
import { describe, expect, it } from 'vitest'
import {
  computeDouble,
  doublerInput,
  FakeBackend,
  type FakeRun,
  fakeArtifact,
  settled,
} from '../../../test/support/fake-backend.js'
import { pipelineOf } from '../../../test/support/fake-steps.js'
import { ManualClock, type ModelName, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import { createPool } from '../pool.js'
import { createPipelineBackends } from './create-pipeline-backends.js'

const STEP_BYTES = 1_000_000
const WHOLE = { model: 'whole' as ModelName, version: 1 }
const PIPELINE = pipelineOf({
  steps: { a: { x: 'x' }, b: { x: 'a.double' }, c: { x: 'b.double' } },
  outputs: { y: 'c.double' },
})

/** Three doublers one after the other, of which `fits` are in memory at once. */
function setUp(fits: number, lengthOf: (run: FakeRun, step: string) => number | 'hold' = () => 5) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const events: string[] = []
  const runs: Record<string, FakeRun[]> = {}
  const pipelines = createPipelineBackends(platform)
  const pool = createPool({
    platform,
    budgetBytes: (fits + 0.5) * STEP_BYTES,
    idleMs: 0,
    defer: queueMicrotask,
    factories: new Map([
      ['pipeline', pipelines.load],
      [
        'fake',
        async ({ ref: { model } }) => {
          events.push(`+${model}`)
          const compute = computeDouble
          const backend = new FakeBackend({ clock, compute, runMs: (run) => lengthOf(run, model) })
          backend.memoryBytes = () => STEP_BYTES
          backend.close = async () => void events.push(`-${model}`)
          runs[model] = backend.runs
          return backend
        },
      ],
    ]),
  })
  pipelines.follow(pool)
  for (const model of ['a', 'b', 'c']) pool.register(fakeArtifact(model, 1, { sizeBytes: STEP_BYTES / 2 }))
  pool.register(fakeArtifact('whole', 1, { backend: 'pipeline', pipeline: PIPELINE, sizeBytes: 100 }))
  const call = async (value: number): Promise<number[]> => {
    const waking = pool.wake(WHOLE)
    if (waking !== undefined) await waking
    const { outputs } = await pool
      .resolve(WHOLE.model, 1)
      .leaf.call(doublerInput([[value]]), Deadline.in(clock, 60_000))
    return [...(outputs.get('y')!.data as Float32Array)]
  }
  const until = async <T>(work: Promise<T>): Promise<T> => {
    let isOver = false
    const end = (): void => {
      isOver = true
    }
    work.then(end, end)
    for (let i = 0; i < 4000 && !isOver; i++) {
      clock.advance(50)
      await settled()
    }
    return work
  }
  return { pool, clock, events, runs, call, until }
}

describe('a pipeline whose versions rest', () => {
  it.each([3, 2, 1])('wakes with them and answers when %d of its three steps fit in memory', async (fits) => {
    const { pool, call, until } = setUp(fits)
    expect(await until(call(1))).toEqual([8])
    expect(pool.status(WHOLE)?.state).toBe('ready')
    expect(pool.memory().usedBytes).toBeLessThanOrEqual((fits + 0.5) * STEP_BYTES)
    expect(await until(Promise.all([call(2), call(3), call(4)]))).toEqual([[16], [24], [32]])
  })

  it('answers when a step is unloaded for another model while the step before it runs', async () => {
    const isHeld = ({ batch }: FakeRun): boolean => (batch.get('x')!.data as Float32Array)[0] === 21
    const { pool, events, runs, call, until, clock } = setUp(2, (run, step) =>
      step === 'a' && isHeld(run) ? 'hold' : 5,
    )
    const other = 'other' as ModelName
    pool.register(fakeArtifact(other, 1, { sizeBytes: STEP_BYTES / 2 }))
    expect(await until(call(1))).toEqual([8])
    const answer = call(21)
    await until(
      (async () => {
        while (!runs['a']?.some(isHeld)) await settled()
        await pool.wake({ model: other, version: 1 })
        await pool.resolve(other, 1).leaf.call(doublerInput([[1]]), Deadline.in(clock, 60_000))
      })(),
    )
    expect(events.at(-1)).toBe('+other')
    const states = ['a', 'b', 'c'].map((step) => pool.status({ model: step as ModelName, version: 1 })?.state)
    expect(states).toEqual(['ready', 'resting', 'resting'])
    runs['a']!.find(isHeld)!.finish()
    expect(await until(answer)).toEqual([168])
  })
})
