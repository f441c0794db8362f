import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { modelSourceContract } from '../../test/contract/model-source.js'
import { linearModel } from '../../test/support/onnx-models.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform, type VersionRef, versionKey } from '../core/index.js'
import { createFileSource } from './file-source.js'

const platform = testPlatform()

function modelAt(path: string): string {
  const file = join(tempFolder(), path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, linearModel([1, 2]))
  return file
}

describe('createFileSource', () => {
  modelSourceContract(() => {
    const file = modelAt('fraud.onnx')
    return {
      source: createFileSource({ file, platform }),
      refs: [{ model: 'fraud', version: 1 } as VersionRef],
      setDescription: (description) =>
        writeFileSync(join(dirname(file), 'fraud.json'), JSON.stringify({ description })),
      replaceModel: () => writeFileSync(file, linearModel([3, 4])),
    }
  })

  it.each([
    ['fraud.onnx', 'fraud/1'],
    ['models/fraud/7/model.onnx', 'fraud/7'],
    ['models/fraud/latest/model.onnx', 'model/1'],
    ['models/my model/7/model.onnx', 'model/1'],
    ['Fraud model (v2).onnx', 'Fraud-model-v2/1'],
    ['été.onnx', 't/1'],
    ['---.onnx', 'model/1'],
    ['fraud.v2.onnx', 'fraud.v2/1'],
  ])('names %s as %s', async (path, key) => {
    const [ref] = await createFileSource({ file: modelAt(path), platform }).list()
    expect(versionKey(ref!)).toBe(key)
  })

  it('prefers the manifest named like the file to model.json', async () => {
    const file = modelAt('fraud.onnx')
    writeFileSync(join(dirname(file), 'model.json'), '{"description":"general"}')
    const source = createFileSource({ file, platform })
    const [ref] = await source.list()
    expect((await source.get(ref!)).manifest.description).toBe('general')
    writeFileSync(join(dirname(file), 'fraud.json'), '{"description":"its own"}')
    const again = createFileSource({ file, platform })
    expect((await again.get(ref!)).manifest.description).toBe('its own')
  })

  it('says at once that the file is missing or no model', async () => {
    const missing = createFileSource({ file: join(tempFolder(), 'none.onnx'), platform })
    await expect(missing.list()).rejects.toMatchObject({ code: 'REGISTRY_FILE_NOT_FOUND' })
    const pickle = join(tempFolder(), 'model.pkl')
    writeFileSync(pickle, Buffer.from('800495cd02000000', 'hex'))
    await expect(createFileSource({ file: pickle, platform }).list()).rejects.toMatchObject({
      code: 'REGISTRY_NOT_ONNX',
      message: expect.stringContaining('skl2onnx'),
    })
    const cut = join(tempFolder(), 'cut.onnx')
    writeFileSync(cut, linearModel([1, 2]).subarray(0, 50))
    await expect(createFileSource({ file: cut, platform }).list()).rejects.toMatchObject({
      code: 'REGISTRY_NOT_ONNX',
      message: expect.stringContaining('it ends at byte 50'),
    })
  })
})
