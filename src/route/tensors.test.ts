import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  allocate,
  type DataType,
  float16ToNumber,
  numberToFloat16,
  type Signature,
  type Tensor,
} from '../tensor/index.js'
import { combine } from './combine.js'
import { confidenceOf } from './confidence.js'
import { constant } from './config.js'
import { constantAnswer } from './constant-answer.js'
import { stackInputs } from './stack-inputs.js'

const tensor = (name: string, datatype: DataType, shape: number[], values: readonly unknown[]): Tensor => {
  const data = allocate(datatype, values.length)
  values.forEach((value, i) => {
    data[i] = value as never
  })
  return { name, datatype, shape, data }
}
const answer = (...tensors: Tensor[]) => new Map(tensors.map((each) => [each.name, each]))
const code = (act: () => unknown): string => {
  try {
    act()
    return 'nothing was thrown'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('combining answers', () => {
  it('averages floats of every width with weights that need not sum to 1', () => {
    const of = (datatype: DataType, a: unknown[], b: unknown[]) => [
      answer(tensor('y', datatype, [2], a)),
      answer(tensor('y', datatype, [2], b)),
    ]
    expect([...combine('n', false, of('FP64', [1, 2], [5, 6]), [3, 1]).get('y')!.data]).toEqual([2, 3])
    expect([...combine('n', false, of('FP32', [1, 2], [5, 6]), [1, 1]).get('y')!.data]).toEqual([3, 4])
    const halves = of('FP16', [1, 2].map(numberToFloat16), [2, 3].map(numberToFloat16))
    expect([...(combine('n', false, halves, [1, 1]).get('y')!.data as Uint16Array)].map(float16ToNumber)).toEqual([
      1.5, 2.5,
    ])
  })

  it('leaves out an arm of weight 0, and takes all as equal when every weight is 0', () => {
    const arms = [answer(tensor('y', 'FP64', [1], [Number.NaN])), answer(tensor('y', 'FP64', [1], [4]))]
    expect([...combine('n', false, arms, [0, 2]).get('y')!.data]).toEqual([4])
    const both = [answer(tensor('y', 'FP64', [1], [2])), answer(tensor('y', 'FP64', [1], [4]))]
    expect([...combine('n', false, both, [0, 0]).get('y')!.data]).toEqual([3])
  })

  it('votes as counting by hand does, on integers and on bytes, the first arm on a tie', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ label: fc.integer({ min: 0, max: 2 }), weight: fc.integer({ min: 1, max: 4 }) }), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.constantFrom('INT64' as const, 'BYTES' as const),
        (arms, datatype) => {
          const encode = (label: number) => (datatype === 'INT64' ? BigInt(label) : Buffer.from(`class-${label}`))
          const weightOf = (label: number) => arms.reduce((sum, arm) => sum + (arm.label === label ? arm.weight : 0), 0)
          const most = Math.max(...arms.map(({ label }) => weightOf(label)))
          const winner = arms.find(({ label }) => weightOf(label) === most)!.label
          const answers = arms.map(({ label }) => answer(tensor('y', datatype, [1], [encode(label)])))
          const combined = combine(
            'n',
            true,
            answers,
            arms.map(({ weight }) => weight),
          )
          expect(combined.get('y')!.data[0]).toEqual(encode(winner))
        },
      ),
    )
  })

  it('refuses answers that differ in outputs, datatypes or shapes', () => {
    const y = answer(tensor('y', 'FP32', [1, 2], [0, 1]))
    for (const other of [
      answer(tensor('z', 'FP32', [1, 2], [0, 1])),
      answer(tensor('y', 'FP64', [1, 2], [0, 1])),
      answer(tensor('y', 'FP32', [2, 1], [0, 1])),
      answer(tensor('y', 'FP32', [1, 2], [0, 1]), tensor('z', 'FP32', [1], [0])),
    ])
      expect(code(() => combine('n', false, [y, other], [1, 1]))).toBe('ROUTE_COMBINE_MISMATCH')
  })
})

describe('the inputs of a meta-model', () => {
  const signature = (name: string): Signature => ({
    inputs: [{ name, datatype: 'FP32', shape: [-1, -1] }],
    outputs: [],
    batchAxis: 0,
  })

  it('are the outputs of that name side by side, and a column for each output that has one value a row', () => {
    const wide = [
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ].map((values) => answer(tensor('p', 'FP32', [2, 2], values)))
    const joined = stackInputs('meta', wide, signature('p')).get('p')!
    expect([joined.shape, [...joined.data]]).toEqual([
      [2, 4],
      [1, 2, 5, 6, 3, 4, 7, 8],
    ])
    const narrow = [
      [1, 2],
      [3, 4],
      [5, 6],
    ].map((values) => answer(tensor('p', 'FP32', [2], values)))
    const columns = stackInputs('meta', narrow, signature('p')).get('p')!
    expect([columns.shape, [...columns.data]]).toEqual([
      [2, 3],
      [1, 3, 5, 2, 4, 6],
    ])
  })

  it('are refused when an arm lacks the output or gives other rows', () => {
    const p = (rows: number) => answer(tensor('p', 'FP32', [rows, 1], new Array(rows).fill(0)))
    expect(code(() => stackInputs('meta', [p(2), p(3)], signature('p')))).toBe('ROUTE_COMBINE_MISMATCH')
    expect(code(() => stackInputs('meta', [p(2), p(2)], signature('q')))).toBe('ROUTE_COMBINE_MISMATCH')
  })
})

describe('confidence', () => {
  it("is the least of the rows' largest probabilities", () => {
    expect(confidenceOf(tensor('p', 'FP64', [2, 3], [0.1, 0.2, 0.7, 0.4, 0.35, 0.25]))).toBe(0.4)
  })

  it('takes a single probability for that of one of two classes', () => {
    expect(confidenceOf(tensor('p', 'FP64', [2, 1], [0.1, 0.75]))).toBe(0.75)
    expect(confidenceOf(tensor('p', 'FP64', [1], [0.1]))).toBe(0.9)
  })

  it('is 0 for what is no probability', () => {
    expect(confidenceOf(tensor('p', 'FP64', [1, 2], [Number.NaN, 1]))).toBe(0)
    expect(confidenceOf(tensor('p', 'INT64', [1], [1n]))).toBe(0)
    expect(confidenceOf(tensor('p', 'FP32', [0, 2], []))).toBe(0)
  })
})

describe('a constant answer', () => {
  const signature: Signature = {
    inputs: [],
    outputs: [
      { name: 'p', datatype: 'FP32', shape: [-1, 2] },
      { name: 'label', datatype: 'INT64', shape: [-1] },
      { name: 'why', datatype: 'BYTES', shape: [-1, -1] },
    ],
    batchAxis: 0,
  }
  const whole = { p: [0.25, 0.75], label: 1, why: ['a', 'b'] }

  it('has the values of one row for every row, in the datatypes and shapes of the outputs', () => {
    const given = constantAnswer(constant('c', whole), signature, 2)
    expect(given.get('p')).toEqual({
      name: 'p',
      datatype: 'FP32',
      shape: [2, 2],
      data: Float32Array.of(0.25, 0.75, 0.25, 0.75),
    })
    expect(given.get('label')).toEqual({ name: 'label', datatype: 'INT64', shape: [2], data: BigInt64Array.of(1n, 1n) })
    expect(given.get('why')).toMatchObject({
      shape: [2, 2],
      data: ['a', 'b', 'a', 'b'].map((text) => Buffer.from(text)),
    })
  })

  it.each([
    ['an output that is not there', { ...whole, score: 1 }],
    ['an output left out', { p: [0.25, 0.75], label: 1 }],
    ['too few values for its shape', { ...whole, p: [1] }],
    ['a text for a number', { ...whole, label: 'yes' }],
    ['a fraction for an integer', { ...whole, label: 0.5 }],
    ['a number for bytes', { ...whole, why: [1, 2] }],
  ])('is refused with %s', (_, outputs) => {
    expect(code(() => constantAnswer(constant('c', outputs), signature, 1))).toBe('ROUTE_CONSTANT_MISMATCH')
  })
})
