import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { treeCases } from '../../../test/support/tree-cases.js'
import { readTrees } from './read.js'
import { writeOnnx } from './write-onnx.js'

describe('ONNX Runtime answers the converted model as the library that trained it', () => {
  it.each(treeCases())('$name', async ({ bytes, rows, predictions }) => {
    const ensemble = readTrees(bytes)
    const session = await ort.InferenceSession.create(writeOnnx(ensemble, { metadata: { a: 'b' } }))
    const data = new Float32Array(rows.length * ensemble.featureCount)
    for (const [i, row] of rows.entries()) data.set(row, i * ensemble.featureCount)
    const outputs = await session.run({
      features: new ort.Tensor('float32', data, [rows.length, ensemble.featureCount]),
    })
    const answer = outputs['value'] ?? outputs['probabilities']
    for (let i = 0; i < rows.length; i++) {
      const expected = predictions[i]!
      if (ensemble.objective === 'multi:softmax' || ensemble.task === 'sign') {
        expect(Number(outputs['label']!.data[i]), `row ${i}`).toBe(expected[0])
        continue
      }
      const width = answer!.data.length / rows.length
      const got = Array.from(answer!.data.slice(i * width, (i + 1) * width) as Float32Array).slice(
        ensemble.task === 'binary' ? 1 : 0,
      )
      expect(got.length).toBe(expected.length)
      for (const [j, value] of got.entries())
        expect(
          Math.abs(value - expected[j]!),
          `row ${i}: ${value} and not ${expected[j]}; ${rows[i]}`,
        ).toBeLessThanOrEqual(2e-6 * (1 + Math.abs(expected[j]!)))
    }
  })
})
