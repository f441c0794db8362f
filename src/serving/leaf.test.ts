import { describe } from 'vitest'
import { type LeafFixture, leafContract } from '../../test/contract/leaf.js'
import { computeDouble, DOUBLER, doublerInput, FakeBackend, fakeManifest } from '../../test/support/fake-backend.js'
import { createLeaf } from '../../test/support/leaf.js'
import { type ModelName, silentLogger, systemClock, testPlatform } from '../core/index.js'
import type { TensorMap } from '../tensor/index.js'
import { createServingMetrics } from './metrics.js'

/** Refuses any batch in which a number is 13. */
function compute(batch: TensorMap): TensorMap {
  if ((batch.get('x')!.data as Float32Array).includes(13)) throw new Error('13 is bad luck')
  return computeDouble(batch)
}

async function create(isolation: 'inline' | 'thread', isBatched: boolean): Promise<LeafFixture> {
  const version = { model: 'fraud' as ModelName, version: 1 }
  // Runs take a few turns of the event loop, so that calls gather meanwhile.
  const backend = new FakeBackend({ clock: systemClock, isolation, compute, runMs: 1 })
  const leaf = createLeaf({
    version,
    digest: 'sha256:0',
    kind: 'fake',
    backend,
    manifest: fakeManifest({ batching: { enabled: isBatched, maxBatchSize: 8 } }),
    clock: systemClock,
    logger: silentLogger,
    metrics: createServingMetrics(testPlatform().metrics).bind(version),
    defer: setImmediate,
    onReadiness: () => undefined,
  })
  const row = (number: number) => doublerInput([[number / 4, 100 + number]]).tensors
  return { leaf, signature: DOUBLER, row, tolerance: 0, manyRows: 50, poison: doublerInput([[13, 13]]).tensors }
}

describe('a batching leaf in front of a thread', () => leafContract(() => create('thread', true)))
describe('a batching leaf in front of an inline backend', () => leafContract(() => create('inline', true)))
describe('a leaf of a model that is not batched', () => leafContract(() => create('thread', false)))
