import { describe, expect, it } from 'vitest'
import type { DataType, TensorData } from './datatype.js'
import type { OutputMeaning } from './manifest.js'
import { type NamedOutputs, tensorsToNamedOutputs } from './named-outputs.js'
import { describeRows, type RowSchema } from './row-schema.js'
import type { Tensor } from './tensor.js'

type Output = readonly [name: string, datatype: DataType, specShape: number[], data: TensorData, shape: number[]]

function schemaOf(
  outputs: readonly Output[],
  labels?: readonly string[],
  meanings: Record<string, OutputMeaning> = {},
  batchAxis: 0 | null = 0,
): RowSchema {
  return describeRows(
    { inputs: [], outputs: outputs.map(([name, datatype, shape]) => ({ name, datatype, shape })), batchAxis },
    { features: undefined, outputs: meanings },
    labels,
  )
}

function named(outputs: readonly Output[], row: number, schema: RowSchema): NamedOutputs {
  const tensors = outputs.map(([name, datatype, , data, shape]): Tensor => ({ name, datatype, shape, data }))
  return tensorsToNamedOutputs(new Map(tensors.map((tensor) => [tensor.name, tensor])), row, schema)
}

const label: Output = ['output_label', 'INT64', [-1], BigInt64Array.of(1n, 0n), [2]]
const probabilities: Output = ['output_probability', 'FP32', [-1, 2], Float32Array.of(0.25, 0.75, 1, 0), [2, 2]]

describe('tensorsToNamedOutputs', () => {
  it('names the class and its probabilities', () => {
    const outputs = [label, probabilities]
    const schema = schemaOf(outputs, ['ok', 'fraud'])
    expect(named(outputs, 0, schema)).toEqual({ label: 'fraud', probabilities: { ok: 0.25, fraud: 0.75 } })
    expect(named(outputs, 1, schema)).toEqual({ label: 'ok', probabilities: { ok: 1, fraud: 0 } })
  })

  it('leaves a class as it is when the labels are the classes themselves', () => {
    const classes: Output = ['label', 'INT64', [-1, 1], BigInt64Array.of(1n, 2n), [2, 1]]
    expect(named([classes], 0, schemaOf([classes], ['1', '2']))).toEqual({ label: 1 })
    expect(named([classes], 1, schemaOf([classes], ['a', 'b']))).toEqual({ label: 2 })
    const strings: Output = ['label', 'BYTES', [-1], [Buffer.from('cat')], [1]]
    expect(named([strings], 0, schemaOf([strings], ['cat', 'dog']))).toEqual({ label: 'cat' })
  })

  it('gives plain values under their own names when there are no labels', () => {
    const outputs = [label, probabilities]
    expect(named(outputs, 1, schemaOf(outputs))).toEqual({ label: 0, output_probability: [1, 0] })
    const price: Output = ['price', 'FP64', [-1, 1], Float64Array.of(1.5, 2.5), [2, 1]]
    expect(named([price], 1, schemaOf([price], ['a', 'b']))).toEqual({ price: 2.5 })
  })

  it('takes one column as the probability of the second class, when it is called one or declared', () => {
    const single: Output = ['prob', 'FP64', [-1, 1], Float64Array.of(0.25), [1, 1]]
    expect(named([single], 0, schemaOf([single], ['no', 'yes']))).toEqual({ probabilities: { no: 0.75, yes: 0.25 } })
    const score: Output = ['score', 'FP64', [-1], Float64Array.of(0.25), [1]]
    expect(named([score], 0, schemaOf([score], ['no', 'yes']))).toEqual({ score: 0.25 })
    expect(named([score], 0, schemaOf([score], ['no', 'yes'], { score: 'probabilities' }))).toEqual({
      probabilities: { no: 0.75, yes: 0.25 },
    })
  })

  it('lets the manifest say what an output means', () => {
    const outputs = [label, probabilities]
    const meanings = { output_label: 'value', output_probability: 'value' } as const
    expect(named(outputs, 0, schemaOf(outputs, ['ok', 'fraud'], meanings))).toEqual({
      output_label: 1,
      output_probability: [0.25, 0.75],
    })
  })

  it('never gives two outputs one name', () => {
    const f = (name: string, meaning?: OutputMeaning): [Output, Record<string, OutputMeaning>] => [
      [name, 'FP32', [-1, 2], Float32Array.of(0.5, 0.5), [1, 2]],
      meaning ? { [name]: meaning } : {},
    ]
    const sets: [Output, Record<string, OutputMeaning>][][] = [
      [f('logits'), f('probabilities')],
      [f('probabilities', 'value'), f('other')],
      [f('a'), f('b'), f('c', 'probabilities')],
    ]
    const expected = [
      ['logits', 'probabilities'],
      ['probabilities', 'other'],
      ['a', 'b', 'probabilities'],
    ]
    for (const [i, set] of sets.entries()) {
      const outputs = set.map(([output]) => output)
      const schema = schemaOf(outputs, ['x', 'y'], Object.assign({}, ...set.map(([, meanings]) => meanings)))
      expect(schema.outputs.map(({ name }) => name)).toEqual(expected[i])
    }
    const twoLabels: Output[] = [
      ['class', 'INT64', [-1], BigInt64Array.of(0n), [1]],
      ['label', 'INT64', [-1], BigInt64Array.of(1n), [1]],
      ['probabilities', 'INT64', [-1], BigInt64Array.of(1n), [1]],
      ['p', 'FP32', [-1, 2], Float32Array.of(0.5, 0.5), [1, 2]],
    ]
    const schema = schemaOf(twoLabels, ['x', 'y'], { probabilities: 'label' })
    expect(named(twoLabels, 0, schema)).toEqual({
      class: 'x',
      label_: 'y',
      label: 'y',
      probabilities: { x: 0.5, y: 0.5 },
    })
  })

  it('is strict JSON: null for what is not finite, digits for what is beyond 2^53', () => {
    const outputs: Output[] = [
      ['f', 'FP32', [-1, 3], Float32Array.of(Number.NaN, 1 / 0, 0.5), [1, 3]],
      ['h', 'FP16', [-1], Uint16Array.of(0x7c00), [1]],
      ['b', 'BF16', [-1], Uint16Array.of(0x3f80), [1]],
      ['i', 'UINT64', [-1, 2], BigUint64Array.of(2n ** 64n - 1n, 5n), [1, 2]],
      ['t', 'BOOL', [-1], Uint8Array.of(1), [1]],
      ['s', 'BYTES', [-1], [Buffer.from('é')], [1]],
      ['n', 'INT8', [-1], Int8Array.of(-3), [1]],
    ]
    const value = named(outputs, 0, schemaOf(outputs))
    expect(value).toEqual({
      f: [null, null, 0.5],
      h: null,
      b: 1,
      i: ['18446744073709551615', 5],
      t: true,
      s: 'é',
      n: -3,
    })
    expect(JSON.parse(JSON.stringify(value))).toEqual(value)
    const bytes: Output = ['s', 'BYTES', [-1], [Buffer.from([0xff])], [1]]
    expect(() => named([bytes], 0, schemaOf([bytes]))).toThrow(/not UTF-8 text/)
  })

  it('nests what has more axes, and gives whole outputs of a model without a batch axis', () => {
    const boxes: Output = ['boxes', 'FP32', [-1, -1, 2], Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [2, 2, 2]]
    expect(named([boxes], 1, schemaOf([boxes]))).toEqual({
      boxes: [
        [5, 6],
        [7, 8],
      ],
    })
    expect(named([boxes], 0, schemaOf([boxes], undefined, {}, null))).toEqual({
      boxes: [
        [
          [1, 2],
          [3, 4],
        ],
        [
          [5, 6],
          [7, 8],
        ],
      ],
    })
    const none: Output = ['boxes', 'FP32', [-1, -1, 4], new Float32Array(0), [1, 0, 4]]
    expect(named([none], 0, schemaOf([none]))).toEqual({ boxes: [] })
  })

  it('leaves out what was not asked for', () => {
    expect(named([probabilities], 0, schemaOf([label, probabilities], ['ok', 'fraud']))).toEqual({
      probabilities: { ok: 0.25, fraud: 0.75 },
    })
  })
})
