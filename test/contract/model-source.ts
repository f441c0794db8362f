// What every ModelSource promises, wherever its versions come from.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { type ModelName, parseDigest, type VersionRef, versionKey } from '../../src/core/index.js'
import type { ModelSource } from '../../src/registry/index.js'

export interface ModelSourceFixture {
  readonly source: ModelSource
  /** Every version there is, in the order of `list`; at least one. */
  readonly refs: readonly VersionRef[]
  /** Writes a manifest with this description beside the first version, which has none yet. */
  readonly setDescription: (description: string) => void
  /** Replaces the model file of the first version by another model. */
  readonly replaceModel: () => void
}

export function modelSourceContract(make: () => ModelSourceFixture): void {
  it('lists the versions by model and number, the same each time', async () => {
    const { source, refs } = make()
    expect(await source.list()).toEqual(refs)
    expect(await source.list()).toEqual(refs)
  })

  it('gives each listed version as an artifact with the digest of its file', async () => {
    const { source } = make()
    for (const ref of await source.list()) {
      const artifact = await source.get(ref)
      const bytes = readFileSync(artifact.file)
      expect(artifact.ref).toEqual(ref)
      expect(artifact.backend).toBe('onnx')
      expect(artifact.sizeBytes).toBe(bytes.length)
      expect(artifact.digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
      expect(parseDigest(artifact.digest)).toBeDefined()
    }
  })

  it('reads the manifest when a version is got', async () => {
    const { source, refs, setDescription } = make()
    setDescription('what it is for')
    await source.list()
    expect((await source.get(refs[0]!)).manifest).toMatchObject({
      description: 'what it is for',
      batching: { maxBatchSize: 32 },
    })
  })

  it('gives the same artifact again', async () => {
    const { source, refs } = make()
    await source.list()
    expect(await source.get(refs[0]!)).toEqual(await source.get(refs[0]!))
  })

  it('says that a version is not there', async () => {
    const { source, refs } = make()
    await source.list()
    const { model, version } = refs[0]!
    const absent = [
      { model, version: version + 1000 },
      { model: 'nobody' as ModelName, version },
    ]
    for (const ref of absent) {
      await expect(source.get(ref), versionKey(ref)).rejects.toMatchObject({ code: 'REGISTRY_VERSION_NOT_FOUND' })
    }
  })

  it('refuses another model under a number it gave out before', async () => {
    const { source, refs, replaceModel } = make()
    await source.list()
    const { digest } = await source.get(refs[0]!)
    replaceModel()
    await expect(source.get(refs[0]!)).rejects.toMatchObject({
      code: 'REGISTRY_DIGEST_CHANGED',
      message: expect.stringContaining(digest),
    })
  })

  it('refuses another manifest for a version it gave out before, because it changes the answers', async () => {
    const { source, refs, setDescription } = make()
    setDescription('first')
    await source.list()
    await source.get(refs[0]!)
    setDescription('second')
    await expect(source.get(refs[0]!)).rejects.toMatchObject({ code: 'REGISTRY_DIGEST_CHANGED' })
  })

  it('can be watched by several, and stopped twice', async () => {
    const { source } = make()
    await source.list()
    const stops = [source.watch(() => undefined), source.watch(() => undefined)]
    for (const stop of [...stops, ...stops]) stop()
  })
}
