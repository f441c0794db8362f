import { describe, expect, it } from 'vitest'
import { fakeArtifact } from '../../test/support/fake-backend.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { type Digest, testPlatform } from '../core/index.js'
import type { VersionDescription } from '../serving/index.js'
import { openModelMemory } from './model-memory.js'

const platform = testPlatform()
const artifact = fakeArtifact('fraud', 1)
const description: VersionDescription = {
  signature: {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
    outputs: [{ name: 'y', datatype: 'BYTES', shape: [-1], isOptional: true }],
    batchAxis: 0,
  },
  labels: undefined,
  isolation: 'thread',
  providers: ['cpu'],
  memoryBytes: 500_000,
  isMeasured: true,
  loadMs: 1.5,
}

describe('what the data folder remembers of models', () => {
  it('is there at the next start, without what was of another form', async () => {
    const dataDir = tempFolder()
    const first = await openModelMemory(dataDir, platform)
    first.descriptions.set(artifact, description)
    first.files.set('a', { stamp: 's', digest: 'sha256:1' as Digest })
    first.files.set('whole a', { wholeStamp: 's' })
    await first.close()
    const second = await openModelMemory(dataDir, platform)
    expect(second.descriptions.get(artifact)).toEqual(description)
    expect(second.files.get('a')).toEqual({ stamp: 's', digest: 'sha256:1' })
    expect(second.files.get('whole a')).toEqual({ wholeStamp: 's' })
  })

  it.each([
    5,
    null,
    {},
    { signature: null },
    { ...description, signature: { inputs: 5 } },
    { ...description, loadMs: '1' },
  ])('is not %j, which is no description of a version and says nothing of a file', async (value) => {
    const dataDir = tempFolder()
    const first = await openModelMemory(dataDir, platform)
    first.descriptions.set(artifact, value as unknown as VersionDescription)
    first.files.set('a', value as never)
    await first.close()
    const second = await openModelMemory(dataDir, platform)
    expect(second.descriptions.get(artifact)).toBe(undefined)
    expect(second.files.get('a')).toBe(undefined)
  })
})
