import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { buildModel, linearModel, node, value } from '../../test/support/onnx-models.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform, versionKey } from '../core/index.js'
import { TensorProto_DataLocation, TensorProtoSchema } from '../formats/index.js'
import { createFolderSource } from './folder-source.js'
import { pushVersion } from './push.js'

function modelFile(weights: readonly number[], name = 'trained.onnx'): string {
  const file = join(tempFolder(), name)
  writeFileSync(file, linearModel(weights))
  return file
}

describe('pushVersion', () => {
  it('makes the models folder and version 1, then the next numbers', async () => {
    const folder = join(tempFolder(), 'models')
    const first = await pushVersion({ folder, model: 'fraud', file: modelFile([1]) })
    expect(first.ref).toEqual({ model: 'fraud', version: 1 })
    const second = await pushVersion({ folder, model: 'fraud', file: modelFile([2]) })
    expect(versionKey(second.ref)).toBe('fraud/2')
    expect(second.digest).not.toBe(first.digest)
    expect(readdirSync(join(folder, 'fraud')).sort()).toEqual(['1', '2'])
    expect(readFileSync(join(second.folder, 'model.onnx'))).toEqual(Buffer.from(linearModel([2])))
  })

  it('goes on from the highest number, whatever is missing below', async () => {
    const folder = tempFolder()
    mkdirSync(join(folder, 'fraud', '9'), { recursive: true })
    mkdirSync(join(folder, 'fraud', 'notes'))
    expect((await pushVersion({ folder, model: 'fraud', file: modelFile([1]) })).ref.version).toBe(10)
  })

  it('gives concurrent pushes different numbers, each with its own content', async () => {
    const folder = tempFolder()
    const pushed = await Promise.all(
      Array.from({ length: 12 }, (_, i) => pushVersion({ folder, model: 'fraud', file: modelFile([i]) })),
    )
    expect(pushed.map(({ ref }) => ref.version).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
    for (const [i, { folder }] of pushed.entries()) {
      expect(readFileSync(join(folder, 'model.onnx'))).toEqual(Buffer.from(linearModel([i])))
    }
    expect(readdirSync(join(folder, 'fraud'))).toHaveLength(12)
  })

  it('refuses what the newest version already is, unless asked', async () => {
    const folder = tempFolder()
    const file = modelFile([1])
    await pushVersion({ folder, model: 'fraud', file })
    await expect(pushVersion({ folder, model: 'fraud', file })).rejects.toMatchObject({
      code: 'REGISTRY_SAME_CONTENT',
      status: 409,
    })
    expect((await pushVersion({ folder, model: 'fraud', file, allowSame: true })).ref.version).toBe(2)
    await pushVersion({ folder, model: 'fraud', file: modelFile([2]) })
    // Going back to older content is a new version.
    expect((await pushVersion({ folder, model: 'fraud', file })).ref.version).toBe(4)
  })

  it('takes a corrected manifest for the same model as a new version', async () => {
    const folder = tempFolder()
    const file = modelFile([1])
    await pushVersion({ folder, model: 'fraud', file })
    const manifest = join(tempFolder(), 'labels.json')
    writeFileSync(manifest, '{"labels": ["no", "yes"]}')
    const { folder: pushed } = await pushVersion({ folder, model: 'fraud', file, manifest })
    expect(readFileSync(join(pushed, 'model.json'), 'utf8')).toBe('{"labels": ["no", "yes"]}')
  })

  it('takes the manifest beside the file', async () => {
    const file = modelFile([1], 'fraud.onnx')
    writeFileSync(file.replace('.onnx', '.json'), '{"description": "beside"}')
    const { folder } = await pushVersion({ folder: tempFolder(), model: 'fraud', file })
    expect(readFileSync(join(folder, 'model.json'), 'utf8')).toContain('beside')
  })

  it('takes a script under its own extension, and the same one once', async () => {
    const folder = tempFolder()
    const file = join(tempFolder(), 'rule.mjs')
    writeFileSync(file, 'export default 1')
    writeFileSync(file.replace('.mjs', '.json'), '{"labels": ["no", "yes"]}')
    const pushed = await pushVersion({ folder, model: 'rule', file })
    expect(readdirSync(pushed.folder).sort()).toEqual(['model.json', 'model.mjs'])
    await expect(pushVersion({ folder, model: 'rule', file })).rejects.toMatchObject({ code: 'REGISTRY_SAME_CONTENT' })
    writeFileSync(file, '')
    await expect(pushVersion({ folder, model: 'rule', file })).rejects.toMatchObject({
      code: 'REGISTRY_NOT_ONNX',
      message: expect.stringContaining('is not a script: it is an empty file'),
    })
  })

  it('copies external tensors to where the model looks for them', async () => {
    const from = tempFolder()
    const tensor = create(TensorProtoSchema, {
      name: 'w',
      dims: [2n],
      dataType: 1,
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: [
        { key: 'location', value: 'parts/weights.bin' },
        { key: 'length', value: '8' },
      ],
    })
    const parts = { inputs: [value('x', 'FP32', [2])], outputs: [value('y', 'FP32', [2])] }
    const model = buildModel({ ...parts, nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [tensor] })
    writeFileSync(join(from, 'net.onnx'), model)
    await expect(pushVersion({ folder: from, model: 'm', file: join(from, 'net.onnx') })).rejects.toMatchObject({
      code: 'REGISTRY_FILE_NOT_FOUND',
      message: expect.stringContaining('weights.bin'),
    })
    mkdirSync(join(from, 'parts'))
    writeFileSync(join(from, 'parts', 'weights.bin'), 'weig')
    await expect(pushVersion({ folder: from, model: 'm', file: join(from, 'net.onnx') })).rejects.toMatchObject({
      code: 'REGISTRY_NOT_ONNX',
      message: expect.stringContaining('need 8 bytes, and it has 4'),
    })
    writeFileSync(join(from, 'parts', 'weights.bin'), 'weights!')
    const { folder } = await pushVersion({ folder: tempFolder(), model: 'm', file: join(from, 'net.onnx') })
    expect(readFileSync(join(folder, 'parts', 'weights.bin'), 'utf8')).toBe('weights!')
  })

  it('leaves files that others can read, whatever the modes of the originals', async () => {
    const file = modelFile([1])
    chmodSync(file, 0o400)
    const { folder } = await pushVersion({ folder: tempFolder(), model: 'fraud', file })
    expect(statSync(folder).mode & 0o777).toBe(0o755)
    expect(statSync(join(folder, 'model.onnx')).mode & 0o777).toBe(0o644)
  })

  it('takes a number that is asked for once', async () => {
    const folder = tempFolder()
    const file = modelFile([1])
    expect((await pushVersion({ folder, model: 'fraud', file, version: 5 })).ref.version).toBe(5)
    await expect(pushVersion({ folder, model: 'fraud', file: modelFile([2]), version: 5 })).rejects.toMatchObject({
      code: 'REGISTRY_VERSION_EXISTS',
    })
  })

  it.each<[string, (file: string) => Parameters<typeof pushVersion>[0] | undefined, string]>([
    ['a name with a slash', (file) => ({ folder: tempFolder(), model: '../up', file }), 'REGISTRY_NAME_INVALID'],
    ['no file', (file) => ({ folder: tempFolder(), model: 'm', file: `${file}x` }), 'REGISTRY_FILE_NOT_FOUND'],
    [
      'no manifest where one is named',
      (file) => ({ folder: tempFolder(), model: 'm', file, manifest: `${file}.json` }),
      'REGISTRY_FILE_NOT_FOUND',
    ],
    [
      'a manifest with a mistake',
      (file) => {
        writeFileSync(`${file}.json`, '{"lables": []}')
        return { folder: tempFolder(), model: 'm', file, manifest: `${file}.json` }
      },
      'REGISTRY_MANIFEST_INVALID',
    ],
    [
      'a folder',
      () => {
        const saved = tempFolder()
        writeFileSync(join(saved, 'saved_model.pb'), '')
        return { folder: tempFolder(), model: 'm', file: saved }
      },
      'REGISTRY_NOT_ONNX',
    ],
  ])('refuses %s and leaves nothing behind', async (_, options, code) => {
    const asked = options(modelFile([1]))!
    await expect(pushVersion(asked)).rejects.toMatchObject({ code })
    expect(readdirSync(asked.folder)).toEqual([])
  })

  it('is never seen half done by a source that looks all the time', async () => {
    const folder = tempFolder()
    const source = createFolderSource({ folder, platform: testPlatform(), settleMs: 0 })
    let isPushing = true
    const looks = (async () => {
      while (isPushing) {
        for (const ref of await source.list()) expect((await source.get(ref)).manifest.description).toBe('whole')
      }
    })()
    const manifest = join(tempFolder(), 'model.json')
    writeFileSync(manifest, '{"description": "whole"}')
    for (let i = 0; i < 10; i++) await pushVersion({ folder, model: 'fraud', file: modelFile([i]), manifest })
    isPushing = false
    await looks
    expect(await source.list()).toHaveLength(10)
    expect(existsSync(join(folder, 'fraud', '11'))).toBe(false)
  })
})
