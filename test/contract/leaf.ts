// What every Leaf promises the route that calls it, whatever stands behind it: a batcher, a cache in front of one, another server.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { HeadraceError, systemClock } from '../../src/core/index.js'
import { Deadline } from '../../src/flow/index.js'
import type { Leaf, LeafInput } from '../../src/serving/index.js'
import { concatenateRows, type Signature, sliceRows, type Tensor, type TensorMap } from '../../src/tensor/index.js'

export interface LeafFixture {
  readonly leaf: Leaf
  /** Of a model with a batch axis, whose rows do not depend on each other. */
  readonly signature: Signature
  /** Valid inputs; a different row for each number from 0 on, the same for the same number. */
  readonly row: (number: number) => TensorMap
  /** How far the same row's outputs may be apart when it runs in different company, relative; 0 for exact. */
  readonly tolerance: number
  /** More rows than one batch may have. */
  readonly manyRows: number
  /** A call that the model, not the leaf, refuses; undefined when every valid input has an answer. */
  readonly poison?: TensorMap
}

export function leafContract(make: () => Promise<LeafFixture>): void {
  const none = () => Deadline.none(systemClock)
  const inputOf = (tensors: TensorMap, outputs?: readonly string[]): LeafInput => ({
    tensors,
    rows: tensors.values().next().value!.shape[0]!,
    outputs,
    cancelled: false,
  })

  it('answers with every output of the signature, in its order, a row for each row', async () => {
    const { leaf, signature, row } = await make()
    const { outputs, batchRows, queueMs, computeMs } = await leaf.call(inputOf(rows(row, [0, 1, 2])), none())
    expect([...outputs.keys()]).toEqual(signature.outputs.map(({ name }) => name))
    for (const [name, tensor] of outputs) {
      const spec = signature.outputs.find((output) => output.name === name)!
      expect(tensor.name).toBe(name)
      expect(tensor.datatype).toBe(spec.datatype)
      expect(tensor.shape.length).toBe(spec.shape.length)
      expect(tensor.shape[0]).toBe(3)
    }
    expect(batchRows).toBeGreaterThanOrEqual(3)
    expect(queueMs).toBeGreaterThanOrEqual(0)
    expect(computeMs).toBeGreaterThanOrEqual(0)
  })

  it('answers with the outputs asked for, in the order asked for, and no others', async () => {
    const { leaf, signature, row } = await make()
    const names = signature.outputs.map(({ name }) => name)
    for (const wanted of [names.slice(-1), names.slice(0, 1), [...names].reverse()]) {
      const { outputs } = await leaf.call(inputOf(row(0), wanted), none())
      expect([...outputs.keys()]).toEqual(wanted)
    }
  })

  it('gives each of many concurrent calls the answer it gets alone', async () => {
    const { leaf, signature, row, tolerance } = await make()
    const names = signature.outputs.map(({ name }) => name)
    const alone: TensorMap[] = []
    for (let i = 0; i < 12; i++) alone.push((await leaf.call(inputOf(row(i)), none())).outputs)
    const call = fc.record({
      numbers: fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 4 }),
      outputs: fc.option(fc.subarray(names, { minLength: 1 }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 24 }), async (calls) => {
        const results = await Promise.all(
          calls.map(({ numbers, outputs }) => leaf.call(inputOf(rows(row, numbers), outputs), none())),
        )
        results.forEach(({ outputs }, i) => {
          for (const [name, tensor] of outputs)
            calls[i]!.numbers.forEach((number, at) => {
              expectClose(sliceRows(tensor, at, 1), alone[number]!.get(name)!, tolerance)
            })
        })
      }),
      { numRuns: 20 },
    )
  })

  it('answers a request larger than a batch, rows in order', async () => {
    const { leaf, row, manyRows, tolerance } = await make()
    const numbers = Array.from({ length: manyRows }, (_, i) => i)
    const { outputs } = await leaf.call(inputOf(rows(row, numbers)), none())
    for (const at of [0, 1, manyRows - 1]) {
      const alone = await leaf.call(inputOf(row(at)), none())
      for (const [name, tensor] of outputs) expectClose(sliceRows(tensor, at, 1), alone.outputs.get(name)!, tolerance)
    }
  })

  it('leaves its inputs as they were', async () => {
    const { leaf, row } = await make()
    const [input, copy] = [rows(row, [0, 1]), structuredClone([...rows(row, [0, 1])])]
    await Promise.all([leaf.call(inputOf(input), none()), leaf.call(inputOf(row(2)), none())])
    // A BYTES element comes back from structuredClone as a plain Uint8Array.
    for (const [name, tensor] of copy) expect(plain(input.get(name)!)).toEqual(plain(tensor))
  })

  it('rejects a call whose deadline has passed with SERVING_DEADLINE_EXCEEDED', async () => {
    const { leaf, row } = await make()
    const late = leaf.call(inputOf(row(0)), Deadline.in(systemClock, -1))
    await expect(late).rejects.toMatchObject({ code: 'SERVING_DEADLINE_EXCEEDED', status: 504, retry: true })
  })

  it('rejects inputs and output names that do not fit the signature with a TENSOR_ code', async () => {
    const { leaf, row } = await make()
    for (const input of [
      inputOf(new Map([['no such input', row(0).values().next().value!]])),
      inputOf(row(0), ['none']),
    ]) {
      const error = await leaf.call(input, none()).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(HeadraceError)
      expect((error as HeadraceError).code).toMatch(/^TENSOR_/)
    }
  })

  it('fails a call that the model refuses with a HeadraceError, and nobody who ran with it', async () => {
    const { leaf, row, poison, tolerance } = await make()
    if (poison === undefined) return
    const alone = await leaf.call(inputOf(row(1)), none())
    const [before, bad, after] = await Promise.allSettled(
      [row(0), poison, row(1)].map((tensors) => leaf.call(inputOf(tensors), none())),
    )
    expect(before?.status).toBe('fulfilled')
    expect(bad?.status === 'rejected' && bad.reason).toBeInstanceOf(HeadraceError)
    expect(after?.status).toBe('fulfilled')
    if (after?.status === 'fulfilled')
      for (const [name, tensor] of after.value.outputs) expectClose(tensor, alone.outputs.get(name)!, tolerance)
  })
}

function rows(row: (number: number) => TensorMap, numbers: readonly number[]): TensorMap {
  const joined = new Map<string, Tensor>()
  for (const name of row(0).keys()) joined.set(name, concatenateRows(numbers.map((number) => row(number).get(name)!)))
  return joined
}

function plain({ data, ...rest }: Tensor): object {
  return { ...rest, data: Array.from(data as ArrayLike<unknown>, (x) => (x instanceof Uint8Array ? [...x] : x)) }
}

function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect({ ...actual, data: undefined }).toEqual({ ...expected, data: undefined })
  if (tolerance === 0 || !(actual.data instanceof Float32Array || actual.data instanceof Float64Array)) {
    expect([...actual.data]).toEqual([...expected.data])
    return
  }
  actual.data.forEach((value, i) => {
    const wanted = expected.data[i] as number
    expect(Math.abs(value - wanted)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(wanted)))
  })
}
