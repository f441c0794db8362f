// The pool, the batcher and the real ONNX backend together, on models whose answers scikit-learn wrote down.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type LeafFixture, leafContract } from '../../test/contract/leaf.js'
import { onnxArtifact } from '../../test/support/onnx-artifact.js'
import { parity } from '../../test/support/shop.js'
import { systemClock, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import { describeRows, type Isolation, rowsToTensors, type TensorMap } from '../tensor/index.js'
import { createOnnxBackends } from './onnx/create-onnx-backends.js'
import { createPool } from './pool.js'
import type { ServedVersion } from './types.js'

const platform = testPlatform()
const onnx = createOnnxBackends({ threads: 1 })
const pool = createPool({ platform, factories: new Map([['onnx', onnx.load]]) })
afterAll(async () => {
  await pool.close()
  await onnx.close()
})

let versions = 0
const models = join(import.meta.dirname, '../../examples/shop/models')

/** A shop model and its known rows as tensors. */
async function load(name: 'fraud-1' | 'breast-cancer-1', isolation: Isolation) {
  const known = parity(name)
  const features = name === 'fraud-1' ? undefined : Object.keys(known.rows[0]!)
  const bytes = readFileSync(join(models, known.model, String(known.version), 'model.onnx'))
  const manifest = { isolation, features, batching: { maxBatchSize: 8, maxBatchSizeUnderPressure: 8 } }
  const status = await pool.load(onnxArtifact(bytes, { model: known.model, version: ++versions, manifest }))
  expect(status).toMatchObject({ state: 'ready' })
  const served = pool.get(status.ref)!
  expect(served.isolation).toBe(isolation)
  const schema = describeRows(served.signature, served.manifest, served.labels)
  const row = (number: number) => rowsToTensors([known.rows[number % known.rows.length]!], schema)
  return { known, served, row, schema }
}

const call = ({ leaf }: ServedVersion, tensors: TensorMap, rows: number) =>
  leaf.call({ tensors, rows, outputs: undefined, cancelled: false }, Deadline.none(systemClock))

describe.each(['fraud-1', 'breast-cancer-1'] as const)('%s', (name) => {
  describe.each(['inline', 'thread'] as const)('%s', (isolation) => {
    it('gives every caller the probabilities that scikit-learn computed for its row, batched or split', async () => {
      const { known, served, row, schema } = await load(name, isolation)
      const single = await Promise.all(known.rows.map((_, i) => call(served, row(i), 1)))
      expect(Math.max(...single.map(({ batchRows }) => batchRows))).toBe(8)
      const whole = await call(served, rowsToTensors(known.rows, schema), known.rows.length)
      known.probabilities.forEach((expected, i) => {
        expected.forEach((probability, j) => {
          const fromBatch = probabilitiesOf(single[i]!.outputs)[j]!
          const fromParts = probabilitiesOf(whole.outputs)[i * expected.length + j]!
          expect(Math.abs(fromBatch - probability)).toBeLessThan(known.tolerance)
          expect(Math.abs(fromParts - probability)).toBeLessThan(known.tolerance)
        })
      })
    })
  })
})

function probabilitiesOf(outputs: TensorMap): Float32Array {
  return [...outputs.values()].find(({ datatype }) => datatype === 'FP32')!.data as Float32Array
}

describe('the leaf of a model with a text and nine number inputs, on a thread', () => {
  leafContract(async (): Promise<LeafFixture> => {
    const { served, row } = await load('fraud-1', 'thread')
    return { leaf: served.leaf, signature: served.signature, row, tolerance: 1e-5, manyRows: 50 }
  })
})
