// Padding with real sessions: a model that reads texts of any length, with a mask, behind the pool.
import { describe, expect, it, onTestFinished } from 'vitest'
import { tensors } from '../../test/support/fake-backend.js'
import { onnxArtifact } from '../../test/support/onnx-artifact.js'
import { attribute, buildModel, initializer, node, value } from '../../test/support/onnx-models.js'
import { systemClock, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { BatchingOptions } from '../tensor/index.js'
import { validateInputs } from '../tensor/index.js'
import { createOnnxBackends } from './onnx/create-onnx-backends.js'
import { createPool } from './pool.js'

/** tokens = 2 · ids; pooled = the sum of the ids that the mask lets through. */
function textModel(): Uint8Array {
  return buildModel({
    inputs: [value('ids', 'FP32', ['rows', 'length']), value('mask', 'FP32', ['rows', 'length'])],
    outputs: [value('tokens', 'FP32', ['rows', 'length']), value('pooled', 'FP32', ['rows'])],
    initializers: [initializer('axes', 'INT64', [1], BigInt64Array.of(1n))],
    nodes: [
      node('Add', ['ids', 'ids'], ['tokens']),
      node('Mul', ['ids', 'mask'], ['masked']),
      node('ReduceSum', ['masked', 'axes'], ['pooled'], [attribute.int('keepdims', 0)]),
    ],
  })
}

async function serve(batching: Partial<BatchingOptions>, instances = 1) {
  const platform = testPlatform({ clock: systemClock })
  const onnx = createOnnxBackends({ threads: 1 })
  const pool = createPool({ platform, factories: new Map([['onnx', onnx.load]]) })
  onTestFinished(async () => {
    await pool.close()
    await onnx.close()
  })
  const artifact = onnxArtifact(textModel(), { manifest: { batching, instances } })
  const status = await pool.load(artifact)
  return { status, served: pool.get(artifact.ref) }
}

describe('texts of different lengths on a real session', () => {
  it.each([1, 2])('share runs and get what they get alone, with %i instances', async (instances) => {
    const padding = { inputs: { ids: { axis: 1, value: 9 } }, multipleOf: 4, mask: 'mask', outputs: {} }
    const { served } = await serve({ padding, allowedBatchSizes: [1, 4, 16], maxBatchSize: 16 }, instances)
    const texts = Array.from({ length: 60 }, (_, i) => Array.from({ length: 1 + ((i * 7) % 13) }, (_, j) => i + j))
    const inputs = texts.map((text) =>
      tensors({ name: 'ids', datatype: 'FP32', shape: [1, text.length], data: Float32Array.from(text) }),
    )
    // The mask may be left out: the path checks requests against this signature.
    expect(validateInputs(inputs[0]!, served!.signature)).toBe(1)
    const results = await Promise.all(
      inputs.map((map) =>
        served!.leaf.call({ tensors: map, rows: 1, outputs: undefined }, Deadline.in(systemClock, 10_000)),
      ),
    )
    results.forEach(({ outputs }, i) => {
      const text = texts[i]!
      expect(outputs.get('tokens')!.shape).toEqual([1, text.length])
      expect([...(outputs.get('tokens')!.data as Float32Array)]).toEqual(text.map((id) => 2 * id))
      expect([...(outputs.get('pooled')!.data as Float32Array)]).toEqual([text.reduce((a, b) => a + b, 0)])
    })
    expect(Math.max(...results.map(({ batchRows }) => batchRows))).toBeGreaterThan(1)
  })

  it('are refused at load with rules that do not fit the model', async () => {
    const { status } = await serve({
      padding: { inputs: { tokens: { axis: 1, value: 0 } }, multipleOf: 1, outputs: {} },
    })
    expect(status.state).toBe('failed')
    expect(status.error).toMatchObject({ code: 'SERVING_PADDING_INVALID' })
  })
})
