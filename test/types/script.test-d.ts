// A script's types follow from its tensors; what does not fit must not compile.
import { defineScript } from '../../src/app/index.js'

export const rows = defineScript({
  inputs: {
    amount: { datatype: 'FP32', shape: [-1, 1] },
    country: 'BYTES',
    isNew: 'BOOL',
    history: { datatype: 'INT32', shape: [-1, 3] },
    card: { datatype: 'FP64', shape: [-1, 2], columns: ['age', 'limit'] },
  },
  outputs: { label: 'INT64', scores: { datatype: 'FP32', shape: [-1, 2] }, why: 'BYTES' },
  row(features) {
    const amount: number = features.amount
    const country: string = features.country
    const isNew: boolean = features.isNew
    const history: readonly number[] = features.history
    const limit: number = features.card.limit
    // @ts-expect-error a feature that is not there
    features.amout
    // @ts-expect-error a column that is not there
    features.card.name
    return { label: isNew ? 1 : 0, scores: [amount, limit], why: `${country} ${history.length}` }
  },
})

export const batch = defineScript({
  inputs: { x: 'FP32', id: 'INT64', name: 'BYTES' },
  outputs: { y: 'FP32' },
  run({ rows, inputs }) {
    const x: Float32Array = inputs.x.data
    const id: BigInt64Array = inputs.id.data
    const name: string[] = inputs.name.data
    return { y: id.length + name.length > rows ? x : { shape: [rows], data: x } }
  },
})

export const later = defineScript({
  inputs: { x: 'FP32' },
  outputs: { y: 'FP32' },
  row: async ({ x }) => ({ y: x }),
})

defineScript({
  inputs: { x: 'FP32' },
  outputs: { y: 'FP32', z: 'BYTES' },
  // @ts-expect-error an output is missing
  row: ({ x }) => ({ y: x }),
})

defineScript({
  inputs: { x: 'FP32' },
  outputs: { y: 'BYTES' },
  // @ts-expect-error a number where text is declared
  row: ({ x }) => ({ y: x }),
})

defineScript({
  inputs: { x: 'FP32' },
  outputs: { y: { datatype: 'FP32', shape: [-1, 2] } },
  // @ts-expect-error one number where a row has two
  row: ({ x }) => ({ y: x }),
})

// @ts-expect-error neither a row nor a batch is answered
defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' } })

defineScript({
  // @ts-expect-error no such datatype
  inputs: { x: 'FLOAT' },
  outputs: { y: 'FP32' },
  row: () => ({ y: 1 }),
})
