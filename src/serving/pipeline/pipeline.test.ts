import { describe, expect, it } from 'vitest'
import { backendContract } from '../../../test/contract/backend.js'
import { computeDouble, doublerInput, fakeArtifact, settled, tensors } from '../../../test/support/fake-backend.js'
import { type FakeStep, FakeStepPool, pipelineOf } from '../../../test/support/fake-steps.js'
import { HeadraceError, ManualClock, type ModelName, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import { type PipelineModel, type Signature, type Tensor, TensorErrors, type TensorMap } from '../../tensor/index.js'
import type { Backend } from '../types.js'
import { createPipelineBackends } from './create-pipeline-backends.js'

const ref = (name: string) => ({ model: name as ModelName, version: 1 })
const vector = (name: string, shape = [-1]) => ({ name, datatype: 'FP32' as const, shape })

/** Takes the inputs named and gives `y`, `f` of them element by element. */
function step(inputs: readonly string[], f: (...values: number[]) => number): FakeStep {
  return {
    signature: { inputs: inputs.map((name) => vector(name)), outputs: [vector('y')], batchAxis: 0 },
    compute: (given) => {
      const lists = inputs.map((name) => [...(given.get(name)!.data as Float32Array)])
      return tensors(floats('y', ...lists[0]!.map((_, i) => f(...lists.map((list) => list[i]!)))))
    },
  }
}

function floats(name: string, ...values: number[]): Tensor {
  return { name, datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) }
}

const plus = (n: number) => step(['x'], (x) => x + n)
const sum = step(['a', 'b'], (a, b) => a + b)

interface SetUp {
  readonly pool: FakeStepPool
  readonly clock: ManualClock
  load(pipeline: PipelineModel): Promise<Backend>
}

function setUp(steps: Readonly<Record<string, FakeStep>> = {}): SetUp {
  const clock = new ManualClock()
  const pool = new FakeStepPool()
  for (const [name, fake] of Object.entries(steps)) pool.put(ref(name), fake)
  const backends = createPipelineBackends(testPlatform({ clock }))
  backends.follow(pool)
  return { pool, clock, load: (pipeline) => backends.load(fakeArtifact('whole', 1, { pipeline })) }
}

async function refusal(promise: Promise<unknown>): Promise<HeadraceError> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

const context = (clock: ManualClock, outputs?: readonly string[]) => ({ deadline: Deadline.none(clock), outputs })

/** Calls that are held until the test ends them. */
function held(fake: FakeStep): FakeStep & { readonly ends: (() => void)[]; fail(error: unknown): void } {
  const ends: (() => void)[] = []
  const fails: ((error: unknown) => void)[] = []
  return {
    ...fake,
    ends,
    fail: (error) => fails.at(-1)!(error),
    compute: (given, input) =>
      new Promise((resolve, reject) => {
        ends.push(() => resolve(fake.compute(given, input)))
        fails.push(reject)
      }),
  }
}

describe('a pipeline', () => {
  backendContract(async () => {
    const pool = new FakeStepPool()
    const x = { name: 'x', datatype: 'FP32' as const, shape: [-1, -1] }
    const signature = (output: string, shape: number[]): Signature => ({
      inputs: [x],
      outputs: [{ name: output, datatype: 'FP32', shape }],
      batchAxis: 0,
    })
    const fake = (output: string, shape: number[]): FakeStep => ({
      signature: signature(output, shape),
      compute: (given) => {
        if ((given.get('x')!.data as Float32Array)[0] === 666) throw new Error('poison')
        return computeDouble(given)
      },
    })
    pool.put(ref('doubler'), fake('double', [-1, -1]))
    pool.put(ref('summer'), fake('sum', [-1]))
    const backends = createPipelineBackends(testPlatform({ clock: systemClock }))
    backends.follow(pool)
    const pipeline = pipelineOf({
      steps: { doubler: { x: 'x' }, summer: { x: 'x' } },
      outputs: { double: 'doubler.double', sum: 'summer.sum' },
    })
    const backend = await backends.load(fakeArtifact('whole', 1, { pipeline }))
    expect(backend).toMatchObject({ isolation: 'steps', joinsCalls: false })
    return { backend, poison: doublerInput([[666]]).tensors }
  })

  const diamond = pipelineOf({
    steps: { up: { x: 'in' }, left: { x: 'up.y' }, right: { x: 'up.y' }, join: { a: 'left.y', b: 'right.y' } },
    outputs: { result: 'join.y', early: 'left.y' },
  })

  it('takes what its steps take, and gives what it names', async () => {
    const { load } = setUp({ up: plus(1), left: plus(10), right: plus(100), join: sum })
    const { signature } = await load(diamond)
    expect(signature).toEqual({
      inputs: [vector('in')],
      outputs: [vector('result'), vector('early')],
      batchAxis: 0,
    })
  })

  it('runs steps side by side, each as soon as its inputs are there', async () => {
    const left = held(plus(10))
    const right = held(plus(100))
    const { pool, clock, load } = setUp({ up: plus(1), left, right, join: sum })
    const run = (await load(diamond)).run(tensors(floats('in', 1, 2)), context(clock))
    await settled()
    expect(pool.calls.map(({ key }) => key)).toEqual(['up/1', 'left/1', 'right/1'])
    right.ends[0]!()
    await settled()
    expect(pool.calls).toHaveLength(3)
    left.ends[0]!()
    const outputs = await run
    expect([...outputs.get('result')!.data]).toEqual([114, 116])
    expect([...outputs.get('early')!.data]).toEqual([12, 13])
    expect(pool.calls.at(-1)!.input).toMatchObject({ rows: 2, outputs: ['y'] })
  })

  it('runs only what the outputs asked for need', async () => {
    const { pool, clock, load } = setUp({ up: plus(1), left: plus(10), right: plus(100), join: sum })
    const outputs = await (await load(diamond)).run(tensors(floats('in', 1)), context(clock, ['early']))
    expect([...outputs.keys()]).toEqual(['early'])
    expect(pool.calls.map(({ key }) => key)).toEqual(['up/1', 'left/1'])
  })

  it('passes on the deadline and the priority, and uses no cache', async () => {
    const { pool, clock, load } = setUp({ up: plus(1), left: plus(10), right: plus(100), join: sum })
    const deadline = Deadline.in(clock, 500)
    await (await load(diamond)).run(tensors(floats('in', 1)), { deadline, outputs: undefined, priority: 'low' })
    for (const call of pool.calls) {
      expect(call.deadline).toBe(deadline)
      expect(call.input.priority).toBe('low')
      expect(call.input.cache).toBeUndefined()
    }
  })

  it('fails as the first of its steps that fails, and calls the others off', async () => {
    const left = held(plus(10))
    const right = held(plus(100))
    const { pool, clock, load } = setUp({ up: plus(1), left, right, join: sum })
    const run = refusal((await load(diamond)).run(tensors(floats('in', 1)), context(clock)))
    await settled()
    left.fail(new HeadraceError('SERVING_QUEUE_FULL', 'It is full.', 429, true, 'warn', { retryAfterMs: 7 }))
    const error = await run
    expect(error).toMatchObject({ code: 'SERVING_QUEUE_FULL', status: 429, retry: true })
    expect(error.params).toMatchObject({ retryAfterMs: 7, step: 'left' })
    expect(error.message).toBe('In the pipeline whole/1, step "left" (left/1) failed: It is full.')
    expect(pool.calls.find(({ key }) => key === 'right/1')!.input.cancelled).toBe(true)
    clock.advance(2)
    expect(pool.drops).toBe(1)
    right.ends[0]!()
    await settled()
    expect(pool.calls.map(({ key }) => key)).not.toContain('join/1')
  })

  it('calls its steps off when nobody waits for it any more', async () => {
    const up = held(plus(1))
    const { pool, clock, load } = setUp({ up, left: plus(10), right: plus(100), join: sum })
    const backend = await load(diamond)
    const abandoned = context(clock)
    const run = refusal(backend.run(tensors(floats('in', 1)), abandoned))
    const other = backend.run(tensors(floats('in', 5)), context(clock))
    backend.abandon!(abandoned)
    expect(await run).toMatchObject({ code: 'SERVING_CANCELLED' })
    expect(pool.calls.map(({ input }) => input.cancelled)).toEqual([true, false])
    up.ends[1]!()
    expect([...(await other).get('early')!.data]).toEqual([16])
  })

  it('says whose fault an input is that does not suit a step', async () => {
    const refuse = (fake: FakeStep): FakeStep => ({
      ...fake,
      compute: () => {
        throw TensorErrors.SHAPE_MISMATCH({ input: 'x', shape: [1], expected: [2], isBatched: true })
      },
    })
    const first = setUp({ up: refuse(plus(1)), left: plus(1), right: plus(1), join: sum })
    const callers = await refusal((await first.load(diamond)).run(tensors(floats('in', 1)), context(first.clock)))
    expect(callers).toMatchObject({ code: 'PIPELINE_INPUT_REFUSED', status: 400 })
    expect(callers.message).toContain('The input "in" of the pipeline whole/1 does not suit its step "up" (up/1)')
    const second = setUp({ up: plus(1), left: refuse(plus(1)), right: plus(1), join: sum })
    const ours = await refusal((await second.load(diamond)).run(tensors(floats('in', 1)), context(second.clock)))
    expect(ours).toMatchObject({ code: 'PIPELINE_STEP_INPUT_INVALID', status: 500 })
    expect(ours.message).toContain('"up.y" does not suit the step "left" (left/1)')
  })

  it('refuses a step that loses rows, and one whose output is not as its signature says', async () => {
    const loses: FakeStep = { ...plus(1), compute: () => tensors(floats('y', 1)) }
    const lost = setUp({ up: loses, left: plus(1), right: plus(1), join: sum })
    const rows = await refusal((await lost.load(diamond)).run(tensors(floats('in', 1, 2)), context(lost.clock)))
    expect(rows).toMatchObject({ code: 'PIPELINE_ROWS_CHANGED', status: 500 })
    expect(rows.message).toContain('step "up" (up/1) was given 2 rows and its output "y" has the shape [1]')
    const wide: FakeStep = {
      ...plus(1),
      compute: () => tensors({ name: 'y', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(1) }),
    }
    const odd = setUp({ up: plus(1), left: wide, right: plus(1), join: sum })
    const run = (await odd.load(diamond)).run(tensors(floats('in', 1)), context(odd.clock, ['early']))
    expect(await refusal(run)).toMatchObject({ code: 'PIPELINE_OUTPUT_INVALID', status: 500 })
  })

  it('leaves out an optional input that did not come', async () => {
    const optional: FakeStep = {
      signature: {
        inputs: [vector('x'), { ...vector('bias'), isOptional: true }],
        outputs: [vector('y')],
        batchAxis: 0,
      },
      compute: (given) => tensors({ ...given.get('x')!, name: 'y' }),
    }
    const { pool, clock, load } = setUp({ only: optional })
    const backend = await load(pipelineOf({ steps: { only: { x: 'x', bias: 'b' } }, outputs: { y: 'only.y' } }))
    expect(backend.signature.inputs).toEqual([vector('x'), { ...vector('b'), isOptional: true }])
    await backend.run(tensors(floats('x', 1)), context(clock))
    expect([...pool.calls[0]!.input.tensors.keys()]).toEqual(['x'])
  })
})

describe('loading a pipeline', () => {
  const chain = pipelineOf({ steps: { a: { x: 'in' }, b: { x: 'a.y' } }, outputs: { out: 'b.y' } })

  it('waits for steps that are on their way, and wakes those that rest', async () => {
    const { pool, load } = setUp({ a: plus(1) })
    const loading = load(chain)
    await settled()
    pool.put(ref('b'), plus(2), 'loading')
    await settled()
    pool.change(ref('b'), 'ready')
    expect((await loading).signature.inputs).toEqual([vector('in')])
    const resting = setUp({ a: plus(1) })
    resting.pool.put(ref('b'), plus(2), 'resting')
    await resting.load(chain)
    expect(resting.pool.woken).toEqual(['b/1'])
  })

  it('fails so that it may be tried again when a step fails or does not come', async () => {
    const { pool, clock, load } = setUp({ a: plus(1) })
    const loading = refusal(load(chain))
    clock.advance(3000)
    const error = await loading
    expect(error).toMatchObject({ code: 'PIPELINE_STEPS_UNREADY', status: 503, retry: true })
    expect(error.message).toContain('waits for step "b" (b/1), which is not there')
    expect(error.params['waitsFor']).toEqual(['b/1'])
    pool.put(ref('b'), plus(1), 'loading')
    const second = refusal(load(chain))
    pool.change(ref('b'), 'failed', 'it is broken.')
    expect((await second).message).toContain('step "b" (b/1), which is failed: it is broken. It goes on by itself')
    expect(pool.watchers).toBe(0)
  })

  it('refuses a pipeline that is a step of itself', async () => {
    const { load } = setUp()
    const error = await refusal(load(pipelineOf({ steps: { whole: { x: 'in' } }, outputs: { y: 'whole.y' } })))
    expect(error).toMatchObject({ code: 'PIPELINE_INVALID', status: 422 })
    expect(error.message).toContain('is the pipeline itself')
  })

  it('lists everything that does not fit', async () => {
    const other: FakeStep = {
      signature: {
        inputs: [
          { name: 'x', datatype: 'INT64', shape: [-1, 4] },
          { name: 'z', datatype: 'FP32', shape: [-1] },
        ],
        outputs: [vector('y')],
        batchAxis: 0,
      },
      compute: (given) => given,
    }
    const { load } = setUp({ a: plus(1), b: other, c: plus(1), d: plus(2) })
    const error = await refusal(
      load(
        pipelineOf({
          steps: { a: { xx: 'in' }, b: { x: 'a.y' }, c: { x: 'a.z' }, d: { x: 'in' } },
          outputs: { out: 'b.yy', c: 'c.y' },
        }),
      ),
    )
    expect(error.params['problems']).toEqual([
      'step "a" (a/1) is given "xx", but its model has no such input; did you mean "x"',
      'step "a" (a/1) is not given its input "x"',
      'input "x" of step "b" (b/1) takes INT64 [-1,4], but "a.y" is FP32 [-1]',
      'step "b" (b/1) is not given its input "z"',
      'input "x" of step "c" (c/1) is "a.z", but its model has no such output; did you mean "y"',
      'output "out" is "b.yy", but its model has no such output; did you mean "y"',
    ])
  })

  it('makes one input of what several steps take, if anything fits them all', async () => {
    const fixed = (shape: number[], datatype: 'FP32' | 'FP64' = 'FP32'): FakeStep => ({
      signature: { inputs: [{ name: 'x', datatype, shape }], outputs: [vector('y')], batchAxis: 0 },
      compute: (given) => given,
    })
    const both = { steps: { a: { x: 'in' }, b: { x: 'in' } }, outputs: { a: 'a.y', b: 'b.y' } }
    const fits = setUp({ a: fixed([-1, -1, 3]), b: fixed([-1, 2, -1]) })
    expect((await fits.load(pipelineOf(both))).signature.inputs[0]!.shape).toEqual([-1, 2, 3])
    for (const [a, b] of [
      [fixed([-1, 2]), fixed([-1, 3])],
      [fixed([-1]), fixed([-1, 1])],
      [fixed([-1]), fixed([-1], 'FP64')],
    ] as const) {
      const error = await refusal(setUp({ a, b }).load(pipelineOf(both)))
      expect(error.message).toContain('which no tensor is')
    }
    const declared = setUp({ a: fixed([-1, 2]), b: fixed([-1, -1]) })
    const inputs = [{ name: 'in', datatype: 'FP32' as const, shape: [-1, 3] }]
    const error = await refusal(declared.load(pipelineOf({ ...both, inputs })))
    expect(error.params['problems']).toEqual([
      'input "x" of step "a" (a/1) takes FP32 [-1,2], but the pipeline\'s input "in" is FP32 [-1,3]',
    ])
  })

  it('has no batch axis when a step has none', async () => {
    const whole: FakeStep = { ...plus(1), signature: { ...plus(1).signature, batchAxis: null } }
    const { load, pool, clock } = setUp({ a: whole, b: plus(1) })
    const backend = await load(chain)
    expect(backend.signature.batchAxis).toBeNull()
    await backend.run(tensors(floats('in', 1, 2)), context(clock))
    expect(pool.calls.map(({ input }) => input.rows)).toEqual([1, 2])
  })
})

describe('the health of a pipeline', () => {
  const single = pipelineOf({ steps: { a: { x: 'in' } }, outputs: { out: 'a.y' } })

  async function watched() {
    const all = setUp({ a: plus(1) })
    const backend = await all.load(single)
    const told: (string | undefined)[] = []
    backend.onHealth!((reason) => told.push(reason))
    const run = () => backend.run(tensors(floats('in', 1)) as TensorMap, context(all.clock))
    return { ...all, backend, told, run }
  }

  it('follows its steps', async () => {
    const { pool, told, run, backend } = await watched()
    pool.change(ref('other'), 'failed', 'it is nobody’s')
    expect(told).toEqual([])
    pool.change(ref('a'), 'unready', 'a run hangs')
    pool.change(ref('a'), 'ready')
    pool.change(ref('a'), 'loading')
    expect(told).toEqual([
      'step "a" (a/1), which is unready: a run hangs',
      undefined,
      'step "a" (a/1), which is loading',
    ])
    expect(await refusal(run())).toMatchObject({ code: 'PIPELINE_STEPS_UNREADY', status: 503, retry: true })
    pool.change(ref('a'), 'ready')
    await run()
    await backend.close()
    expect(pool.watchers).toBe(0)
  })

  it('does not run on a step that is another model by now', async () => {
    const { pool, told, run } = await watched()
    pool.change(ref('a'), 'unloaded')
    expect(told.at(-1)).toContain('which is not there')
    pool.put(ref('a'), { ...plus(1), digest: 'sha256:2' })
    expect(told.at(-1)).toContain('which is another model by now')
    expect((await refusal(run())).code).toBe('PIPELINE_STEPS_UNREADY')
  })
})
