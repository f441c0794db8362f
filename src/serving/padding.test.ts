import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeBackend, fakeManifest, settled, Turns, tensors } from '../../test/support/fake-backend.js'
import { type HeadraceError, ManualClock, type ModelName, silentLogger, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { BatchingOptions, PaddingRules, Signature, Tensor, TensorMap } from '../tensor/index.js'
import { Batcher } from './batcher.js'
import { createServingMetrics } from './metrics.js'
import { Padding } from './padding.js'
import type { LeafResult } from './types.js'

/** As text models have it: ids and a mask in, a number per token and one per row out. */
const TEXT: Signature = {
  inputs: [
    { name: 'ids', datatype: 'INT64', shape: [-1, -1] },
    { name: 'mask', datatype: 'INT64', shape: [-1, -1] },
    { name: 'lengths', datatype: 'INT32', shape: [-1] },
  ],
  outputs: [
    { name: 'tokens', datatype: 'FP32', shape: [-1, -1, 2] },
    { name: 'sum', datatype: 'FP32', shape: [-1] },
  ],
  batchAxis: 0,
}
const RULES: PaddingRules = {
  inputs: { ids: { axis: 1, value: 7 } },
  multipleOf: 1,
  mask: 'mask',
  lengths: 'lengths',
  outputs: {},
}

/** Each token and its negative; the sum of a row's tokens as the mask tells them. Throws when mask and lengths disagree. */
function readText(batch: TensorMap): TensorMap {
  const ids = batch.get('ids')!
  const mask = batch.get('mask')!.data as BigInt64Array
  const lengths = batch.get('lengths')!.data as Int32Array
  const [rows, length] = ids.shape as [number, number]
  const data = ids.data as BigInt64Array
  const tokens = new Float32Array(rows * length * 2)
  const sum = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    let own = 0
    for (let i = row * length; i < (row + 1) * length; i++) {
      tokens[2 * i] = Number(data[i])
      tokens[2 * i + 1] = -Number(data[i])
      sum[row]! += Number(data[i]! * mask[i]!)
      own += Number(mask[i])
    }
    if (own !== lengths[row]) throw new Error('mask and lengths disagree')
  }
  return tensors(
    { name: 'tokens', datatype: 'FP32', shape: [rows, length, 2], data: tokens },
    { name: 'sum', datatype: 'FP32', shape: [rows], data: sum },
  )
}

function idsOf(rows: readonly (readonly number[])[]): Tensor {
  const data = BigInt64Array.from(rows.flat(), BigInt)
  return { name: 'ids', datatype: 'INT64', shape: [rows.length, rows[0]!.length], data }
}

function setUp(batching: Partial<BatchingOptions>, compute = readText) {
  const clock = new ManualClock()
  const turns = new Turns()
  const backend = new FakeBackend({ clock, signature: TEXT, compute, runMs: 0 })
  const version = { model: 'text' as ModelName, version: 1 }
  const batcher = new Batcher({
    version,
    backend,
    manifest: fakeManifest({ batching }),
    clock,
    logger: silentLogger,
    metrics: createServingMetrics(testPlatform().metrics).bind(version),
    defer: turns.defer,
    onReadiness: () => undefined,
  })
  const call = (map: TensorMap) => {
    const outcome: { result?: LeafResult; error?: HeadraceError } = {}
    const rows = map.get('ids')!.shape[0]!
    batcher.call({ tensors: map, rows, outputs: undefined }, Deadline.none(clock)).then(
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
  return { backend, call, turn }
}

describe('calls of different lengths', () => {
  it('share a run, with mask and lengths filled in, and get their own length back', async () => {
    const { backend, call, turn } = setUp({ padding: RULES })
    const [a, b] = [call(tensors(idsOf([[1, 2, 3]]))), call(tensors(idsOf([[3, 4, 5, 6]])))]
    await turn()
    expect(backend.runs.length).toBe(1)
    expect([...(backend.runs[0]!.batch.get('ids')!.data as BigInt64Array)].map(Number)).toEqual([
      1, 2, 3, 7, 3, 4, 5, 6,
    ])
    expect([...(backend.runs[0]!.batch.get('mask')!.data as BigInt64Array)].map(Number)).toEqual([
      1, 1, 1, 0, 1, 1, 1, 1,
    ])
    expect([...(backend.runs[0]!.batch.get('lengths')!.data as Int32Array)]).toEqual([3, 4])
    expect(a.result?.outputs.get('tokens')?.shape).toEqual([1, 3, 2])
    expect([...(a.result!.outputs.get('tokens')!.data as Float32Array)]).toEqual([1, -1, 2, -2, 3, -3])
    expect([...(b.result!.outputs.get('sum')!.data as Float32Array)]).toEqual([18])
  })

  it('keep a mask that the caller sent', async () => {
    const { backend, call, turn } = setUp({ padding: { ...RULES, multipleOf: 4 } })
    const mask: Tensor = { name: 'mask', datatype: 'INT64', shape: [1, 2], data: BigInt64Array.of(1n, 0n) }
    const lengths: Tensor = { name: 'lengths', datatype: 'INT32', shape: [1], data: Int32Array.of(1) }
    const outcome = call(tensors(idsOf([[5, 6]]), mask, lengths))
    await turn()
    expect([...(backend.runs[0]!.batch.get('mask')!.data as BigInt64Array)].map(Number)).toEqual([1, 0, 0, 0])
    expect([...(outcome.result!.outputs.get('sum')!.data as Float32Array)]).toEqual([5])
    expect(outcome.result?.outputs.get('tokens')?.shape).toEqual([1, 2, 2])
  })

  it('run apart when one is more than twice as long as the other', async () => {
    const { backend, call, turn } = setUp({ padding: RULES })
    for (const length of [3, 4, 5, 9]) call(tensors(idsOf([new Array(length).fill(1)])))
    await turn()
    expect(backend.runs.map((run) => run.batch.get('ids')!.shape)).toEqual([
      [2, 4],
      [1, 5],
      [1, 9],
    ])
  })

  it('refuses a call whose inputs have two lengths', async () => {
    const { call, turn } = setUp({ padding: RULES })
    const mask: Tensor = { name: 'mask', datatype: 'INT64', shape: [1, 3], data: new BigInt64Array(3) }
    const outcome = call(tensors(idsOf([[5, 6]]), mask))
    await turn()
    expect(outcome.error?.code).toBe('SERVING_LENGTHS_DIFFER')
  })

  it('fails a run whose output cannot be cut back, instead of handing out padding', async () => {
    const shorter = (batch: TensorMap) => {
      const outputs = readText(batch)
      const rows = batch.get('ids')!.shape[0]!
      const data = new Float32Array(rows * 2)
      return tensors({ name: 'tokens', datatype: 'FP32', shape: [rows, 1, 2], data }, outputs.get('sum')!)
    }
    const { call, turn } = setUp({ padding: RULES }, shorter)
    const [a, b] = [call(tensors(idsOf([[1, 2, 3]]))), call(tensors(idsOf([[3, 4, 5, 6]])))]
    await turn()
    expect(a.error?.message).toContain('batching.padding.outputs')
    expect(b.error ?? b.result).toBeDefined()
    const told = setUp({ padding: { ...RULES, outputs: { tokens: null } } }, shorter)
    const [c] = [told.call(tensors(idsOf([[1, 2, 3]]))), told.call(tensors(idsOf([[3, 4, 5, 6]])))]
    await told.turn()
    expect(c!.result?.outputs.get('tokens')?.shape).toEqual([1, 1, 2])
  })

  it('each get what they get alone, in any company, with allowed sizes and rounding too', async () => {
    const row = fc.integer({ min: 1, max: 9 }).chain((length) =>
      fc.array(fc.array(fc.integer({ min: 1, max: 99 }), { minLength: length, maxLength: length }), {
        minLength: 1,
        maxLength: 5,
      }),
    )
    const options = fc.record({
      multipleOf: fc.integer({ min: 1, max: 4 }),
      allowedBatchSizes: fc.constantFrom(undefined, [1, 4, 8], [3, 8]),
      padRows: fc.constantFrom('repeat' as const, undefined),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), options, async (calls, setup) => {
        const { multipleOf, ...rest } = setup
        const world = setUp({ ...rest, maxBatchSize: 8, padding: { ...RULES, multipleOf } })
        const outcomes = calls.map((rows) => world.call(tensors(idsOf(rows))))
        for (let i = 0; i < 3; i++) await world.turn()
        outcomes.forEach(({ result, error }, i) => {
          expect(error).toBe(undefined)
          const rows = calls[i]!
          expect(result!.outputs.get('tokens')!.shape).toEqual([rows.length, rows[0]!.length, 2])
          const tokens = rows.flatMap((one) => one.flatMap((id) => [id, -id]))
          expect([...(result!.outputs.get('tokens')!.data as Float32Array)]).toEqual(tokens)
          const sums = rows.map((one) => one.reduce((a, b) => a + b, 0))
          expect([...(result!.outputs.get('sum')!.data as Float32Array)]).toEqual(sums)
        })
        for (const { batch } of world.backend.runs) {
          const [size, length] = batch.get('ids')!.shape as [number, number]
          expect(length % multipleOf).toBe(0)
          if (rest.allowedBatchSizes !== undefined) expect(rest.allowedBatchSizes).toContain(size)
        }
      }),
      { numRuns: 150 },
    )
  })
})

describe('rules of padding', () => {
  it.each([
    [{ ...RULES, inputs: { id: { axis: 1, value: 0 } } }, 'no input "id"'],
    [{ ...RULES, inputs: { ids: { axis: 2, value: 0 } } }, 'axis 2 of "ids" is not open'],
    [{ ...RULES, inputs: {} }, 'no input with a length'],
    [{ ...RULES, mask: 'lengths' }, 'axis 1 of "lengths" is not open'],
    [{ ...RULES, lengths: 'ids', mask: undefined, inputs: { mask: { axis: 1, value: 0 } } }, undefined],
    [{ ...RULES, outputs: { logits: 1 } }, 'no output "logits"'],
  ])('are refused when they do not fit the model: %j', (rules, message) => {
    const make = () => new Padding('text', rules, TEXT)
    if (message === undefined) expect(make).not.toThrow()
    else expect(make).toThrow(message)
  })
})

describe('sizes of runs', () => {
  it('are filled up to the next allowed one with the last row again, or with zeros', async () => {
    for (const [padRows, filler] of [
      ['repeat', [3, 3]],
      ['zeros', [0, 0]],
    ] as const) {
      const compute = (batch: TensorMap) => {
        const { data, shape } = batch.get('ids')!
        const zeros = { datatype: 'FP32' as const, shape: [shape[0]!, 1, 2], data: new Float32Array(2 * shape[0]!) }
        const sum = Float32Array.from(data as BigInt64Array, Number)
        return tensors({ name: 'tokens', ...zeros }, { name: 'sum', datatype: 'FP32', shape: [shape[0]!], data: sum })
      }
      const { backend, call, turn } = setUp({ allowedBatchSizes: [1, 4], padRows }, compute)
      const full = (id: number) =>
        tensors(
          idsOf([[id]]),
          { name: 'mask', datatype: 'INT64', shape: [1, 1], data: BigInt64Array.of(1n) },
          { name: 'lengths', datatype: 'INT32', shape: [1], data: Int32Array.of(1) },
        )
      const outcomes = [2, 3].map((id) => call(full(id)))
      await turn()
      expect([...(backend.runs[0]!.batch.get('ids')!.data as BigInt64Array)].map(Number)).toEqual([2, 3, ...filler])
      expect(outcomes.map(({ result }) => [...(result!.outputs.get('sum')!.data as Float32Array)])).toEqual([[2], [3]])
      expect(outcomes[0]!.result?.batchRows).toBe(2)
    }
  })
})
