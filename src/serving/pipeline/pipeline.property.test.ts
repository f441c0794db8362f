// Random pipelines on virtual time against an evaluator that asks for each tensor when it needs it, one after the other.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fakeArtifact, settled, tensors } from '../../../test/support/fake-backend.js'
import { type FakeStep, FakeStepPool } from '../../../test/support/fake-steps.js'
import { VirtualClock } from '../../../test/support/virtual-clock.js'
import { type HeadraceError, type ModelName, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { PipelineModel, PipelineStep, TensorSource } from '../../tensor/index.js'
import { createPipelineBackends } from './create-pipeline-backends.js'

interface Node {
  readonly sources: readonly number[]
  readonly ms: number
  readonly factor: number
}

interface World {
  readonly nodes: readonly Node[]
  /** Numbers of the nodes whose output is asked for. */
  readonly wanted: readonly number[]
  /** The node that fails, if any. */
  readonly broken: number | undefined
}

const INPUTS = 2

/** Sources below `INPUTS` are inputs of the pipeline, the others nodes before this one. */
const world: fc.Arbitrary<World> = fc.integer({ min: 1, max: 9 }).chain((count) => {
  const nodes = fc.tuple(
    ...Array.from({ length: count }, (_, number) =>
      fc.record({
        sources: fc.array(fc.nat(INPUTS + number - 1), { minLength: 1, maxLength: 3 }),
        ms: fc.integer({ min: 1, max: 50 }),
        factor: fc.integer({ min: 1, max: 5 }),
      }),
    ),
  )
  return fc.record({
    nodes,
    wanted: fc.uniqueArray(fc.nat(count - 1), { minLength: 1 }),
    broken: fc.option(fc.nat(count - 1), { nil: undefined, freq: 3 }),
  })
})

const source = (number: number): TensorSource =>
  number < INPUTS ? { step: undefined, tensor: `in${number}` } : { step: `s${number - INPUTS}`, tensor: 'y' }

function pipelineFrom({ nodes }: World): PipelineModel {
  return {
    inputs: undefined,
    steps: nodes.map(
      ({ sources }, number): PipelineStep => ({
        name: `s${number}`,
        model: `s${number}` as ModelName,
        version: 1,
        inputs: new Map(sources.map((from, i) => [`x${i}`, source(from)])),
      }),
    ),
    outputs: new Map(nodes.map((_, number) => [`o${number}`, { step: `s${number}`, tensor: 'y' }])),
  }
}

describe('a pipeline of any form', () => {
  it('gives what evaluating it step by step gives, in the time of its longest way, running each step once', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (given) => {
        const { nodes, wanted, broken } = given
        const clock = new VirtualClock()
        const pool = new FakeStepPool()
        const running = new Set<number>()
        const started: number[] = []
        for (const [number, { sources, ms, factor }] of nodes.entries()) {
          const spec = (name: string) => ({ name, datatype: 'FP64' as const, shape: [-1] })
          const fake: FakeStep = {
            signature: {
              inputs: sources.map((_, i) => spec(`x${i}`)),
              outputs: [spec('y')],
              batchAxis: 0,
            },
            compute: (inputs, input) =>
              new Promise((resolve, reject) => {
                started.push(number)
                running.add(number)
                clock.after(ms, () => {
                  running.delete(number)
                  if (number === broken) return reject(new Error(`s${number} is broken`))
                  if (input.cancelled === true) return reject(new Error('nobody waits'))
                  const lists = [...inputs.values()].map(({ data }) => data as Float64Array)
                  const y = lists[0]!.map(
                    (_, row) => factor * lists.reduce((sum, list) => sum + list[row]!, 0) + number,
                  )
                  resolve(tensors({ name: 'y', datatype: 'FP64', shape: [y.length], data: y }))
                })
              }),
          }
          pool.put({ model: `s${number}` as ModelName, version: 1 }, fake)
        }
        const backends = createPipelineBackends(testPlatform({ clock }))
        backends.follow(pool)
        const backend = await backends.load(fakeArtifact('whole', 1, { pipeline: pipelineFrom(given) }))
        // Inputs that no step takes are no inputs of the pipeline.
        const values = [Float64Array.of(1, 2), Float64Array.of(10, 20)]
        const inputs = tensors(
          ...backend.signature.inputs.map(({ name }) => ({
            name,
            datatype: 'FP64' as const,
            shape: [2],
            data: values[Number(name.slice(2))]!,
          })),
        )

        // The slow, obvious way.
        const needed = new Set<number>()
        const evaluate = (from: number): Float64Array => {
          if (from < INPUTS) return values[from]!
          const { sources, factor } = nodes[from - INPUTS]!
          needed.add(from - INPUTS)
          const lists = sources.map(evaluate)
          return lists[0]!.map((_, row) => factor * lists.reduce((sum, list) => sum + list[row]!, 0) + from - INPUTS)
        }
        const endOf = (from: number): number =>
          from < INPUTS ? 0 : Math.max(...nodes[from - INPUTS]!.sources.map(endOf)) + nodes[from - INPUTS]!.ms
        const expected = new Map(wanted.map((number) => [`o${number}`, [...evaluate(INPUTS + number)]]))

        let outcome: unknown
        const startMs = clock.monotonicMs()
        let endMs = -1
        const outputs = wanted.map((number) => `o${number}`)
        backend.run(inputs, { deadline: Deadline.none(systemClock), outputs }).then(
          (answer) => {
            outcome = new Map([...answer].map(([name, { data }]) => [name, [...(data as Float64Array)]]))
            endMs = clock.monotonicMs()
          },
          (error: HeadraceError) => {
            outcome = error
            endMs = clock.monotonicMs()
          },
        )
        await settled()
        while (endMs === -1 && clock.step()) await settled()
        expect(started).toHaveLength(new Set(started).size)
        if (broken !== undefined && needed.has(broken)) {
          expect(outcome).toMatchObject({ code: 'CORE_INTERNAL', params: { step: `s${broken}` } })
          expect(endMs - startMs).toBe(endOf(INPUTS + broken))
          for (const number of running)
            expect(pool.calls.find(({ key }) => key === `s${number}/1`)!.input.cancelled).toBe(true)
        } else {
          expect(outcome).toEqual(expected)
          expect(new Set(started)).toEqual(needed)
          expect(endMs - startMs).toBe(Math.max(...wanted.map((number) => endOf(INPUTS + number))))
        }
      }),
      { numRuns: 200 },
    )
  })
})
