import { afterAll, describe, expect, it } from 'vitest'
import { fakeArtifact } from '../../../test/support/fake-backend.js'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import { mlpModel } from '../../../test/support/onnx-models.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { createMemoryGauge } from './memory-gauge.js'

const gauge = createMemoryGauge({ platform: { ...testPlatform(), clock: systemClock } })
afterAll(() => gauge.close())

const weights = (inputs: number, hidden: number, version = 1) =>
  onnxArtifact(mlpModel({ inputs, hidden: [hidden, hidden], outputs: 8, seed: version }), { version })

describe('the memory gauge', () => {
  it('measures a model of 100 MB within a quarter, also while others are loaded', async () => {
    // The first one of a process does not pay for its runtime.
    const small = weights(64, 500, 1)
    const smallBytes = await gauge.measure(small)
    expect(smallBytes).toBeGreaterThanOrEqual(small.sizeBytes)
    expect(smallBytes).toBeLessThan(8 * small.sizeBytes)
    const large = weights(64, 5000, 2)
    expect(large.sizeBytes).toBeGreaterThan(100e6)
    for (let again = 0; again < 2; again++) {
      const bytes = await gauge.measure(large)
      expect(bytes / large.sizeBytes).toBeGreaterThanOrEqual(1)
      expect(bytes / large.sizeBytes).toBeLessThan(1.25)
    }
    // It yields to everybody else on the machine.
  }, 120_000)

  it('counts every instance, and the process of one that has its own', async () => {
    const one = weights(64, 500, 5)
    const bytes = await gauge.measure(one)
    const of = (manifest: Partial<typeof one.manifest>) =>
      gauge.measure({ ...one, manifest: { ...one.manifest, ...manifest } })
    expect(await of({ instances: 3 })).toBeGreaterThanOrEqual(3 * one.sizeBytes)
    expect((await of({ isolation: 'process' })) - bytes).toBeGreaterThan(40e6)
  })

  it('takes nothing for versions that run elsewhere or are made of others', async () => {
    expect(await gauge.measure(fakeArtifact('far', 1, { backend: 'remote' }))).toBe(0)
    expect(await gauge.measure(fakeArtifact('dag', 1, { backend: 'pipeline' }))).toBe(0)
  })

  it('says what a file is that cannot be loaded, and measures the next one', async () => {
    await expect(gauge.measure(onnxArtifact(new Uint8Array(9)))).rejects.toMatchObject({ code: 'ONNX_FILE_CORRUPT' })
    expect(await gauge.measure(weights(64, 500, 4))).toBeGreaterThan(1e6)
  })
})
