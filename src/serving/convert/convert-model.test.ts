import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { tensors } from '../../../test/support/fake-backend.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { type TreeCase, treeCases } from '../../../test/support/tree-cases.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import { createFileSource, pushVersion } from '../../registry/index.js'
import { createOnnxBackends } from '../onnx/create-onnx-backends.js'
import { convertModel } from './convert-model.js'

const platform = testPlatform()
const onnx = createOnnxBackends({ threads: 1 })
afterAll(() => onnx.close())
const cases = new Map(treeCases().map((found) => [found.name, found]))
const fixture = (name: string): TreeCase => cases.get(name)!
const fixtureFile = (name: string): string => join(fixture('xgboost-ubj').file, '..', name)

async function push(file: string, manifest?: string) {
  const folder = join(tempFolder(), 'models')
  const pushed = await pushVersion({
    folder,
    model: 'churn',
    file,
    convert: convertModel,
    ...(manifest && { manifest }),
  })
  return { ...pushed, models: folder, manifest: JSON.parse(readFileSync(join(pushed.folder, 'model.json'), 'utf8')) }
}

describe('a pushed file of another library', () => {
  it.each(['xgboost-ubj', 'xgboost-multi-softprob', 'lightgbm-binary', 'lightgbm-poisson'])(
    'is served and answers as it did where it was trained: %s',
    async (name) => {
      const { file, rows, predictions } = fixture(name)
      const pushed = await push(file)
      const source = createFileSource({ file: join(pushed.folder, 'model.onnx'), platform })
      const artifact = await source.get((await source.list())[0]!)
      const backend = await onnx.load(artifact, { platform })
      expect(backend.notBatchedBecause).toBeUndefined()
      expect(artifact.manifest.convertedFrom).toMatchObject({ format: name.split('-')[0], rowsCompared: 4096 })
      const data = new Float32Array(rows.flatMap((row) => [...row]))
      const input = { name: 'features', datatype: 'FP32' as const, shape: [rows.length, rows[0]!.length], data }
      const deadline = Deadline.none(systemClock)
      const outputs = await backend.run(tensors(input), { deadline, outputs: undefined })
      const { data: answered, shape } = (outputs.get('probabilities') ?? outputs.get('value'))!
      const width = shape[1] ?? 1
      for (const [i, expected] of predictions.entries()) {
        const row = [...answered.slice(i * width, (i + 1) * width)].slice(-expected.length)
        for (const [j, value] of row.entries()) expect(Number(value)).toBeCloseTo(expected[j]!, 5)
      }
      await backend.close()
    },
  )

  it('lies beside its ONNX, and model.json says what the file says of itself', async () => {
    const { folder, manifest, models } = await push(fixture('xgboost-ubj').file)
    expect(readdirSync(folder).sort()).toEqual(['model.json', 'model.onnx', 'source.ubj'])
    expect(readdirSync(models)).toEqual(['churn'])
    expect(manifest).toMatchObject({
      features: ['age', 'income', 'shop', 'clicks', 'items', 'wide'],
      labels: ['0', '1'],
      outputs: { label: 'label', probabilities: 'probabilities' },
      convertedFrom: { format: 'xgboost', libraryVersion: '3.2.0', objective: 'binary:logistic' },
    })
  })

  it('takes what the person who pushes says over what the file says', async () => {
    const own = join(tempFolder(), 'own.json')
    writeFileSync(own, JSON.stringify({ labels: ['stays', 'leaves'], cost: 2 }))
    const { manifest } = await push(fixture('xgboost-ubj').file, own)
    expect(manifest).toMatchObject({ labels: ['stays', 'leaves'], cost: 2, outputs: { label: 'label' } })
  })

  it('may be called model.json, and is no manifest then', async () => {
    const folder = tempFolder()
    const file = join(folder, 'model.json')
    copyFileSync(fixture('xgboost-reg-gamma').file, file)
    expect((await push(file)).manifest).toMatchObject({ outputs: { value: 'value' } })
    // Nor is it the manifest of another file of the same model beside it.
    copyFileSync(fixture('xgboost-ubj').file, join(folder, 'model.ubj'))
    expect((await push(join(folder, 'model.ubj'))).manifest.convertedFrom.objective).toBe('binary:logistic')
  })

  it('is refused as the same when it was pushed before', async () => {
    const folder = tempFolder()
    const { file } = fixture('lightgbm-binary')
    const options = { folder, model: 'churn', file, convert: convertModel }
    await pushVersion(options)
    await expect(pushVersion(options)).rejects.toMatchObject({ code: 'REGISTRY_SAME_CONTENT' })
  })

  it.each([
    ['lightgbm-linear-tree.txt', 'linear trees'],
    ['xgboost-gblinear.json', 'gblinear'],
    ['xgboost-multi-output-tree.json', 'multi_output_tree'],
  ])('is refused by name of what has no counterpart: %s', async (name, found) => {
    const error = await push(fixtureFile(name)).catch((error) => error)
    expect(error).toMatchObject({ code: 'CONVERT_UNSUPPORTED', status: 422 })
    expect(error.message).toContain(found)
  })

  it('is refused with what to do when nobody converts, as in a folder of versions', async () => {
    const folder = join(tempFolder(), 'churn', '1')
    mkdirSync(folder, { recursive: true })
    const file = join(folder, basename('model.onnx'))
    copyFileSync(fixture('xgboost-ubj').file, file)
    const error = await pushVersion({ folder: tempFolder(), model: 'churn', file }).catch((error) => error)
    expect(error).toMatchObject({ code: 'REGISTRY_NOT_ONNX' })
    expect(error.message).toContain('headrace models push')
  })

  it('costs its own process when it needs more memory than there is, and the next is converted', async () => {
    const file = join(tempFolder(), 'model.txt')
    const line = `leaf_value=${'1 '.repeat(5_000_000)}`
    writeFileSync(file, readFileSync(fixtureFile('lightgbm-regression.txt'), 'utf8').replace(/leaf_value=.*/, line))
    const small = convertModel(file, { heapMb: 20, timeMs: 60_000 })
    const next = convertModel(fixture('xgboost-ubj').file)
    await expect(small).rejects.toMatchObject({ code: 'CONVERT_FAILED', message: expect.stringContaining('20 MB') })
    expect((await next).bytes.length).toBeGreaterThan(1000)
  })

  it('costs its own process when it takes longer than it may', async () => {
    await expect(convertModel(fixture('xgboost-ubj').file, { heapMb: 512, timeMs: 1 })).rejects.toMatchObject({
      code: 'CONVERT_FAILED',
      message: expect.stringContaining('SIGKILL'),
    })
  })

  it('is refused without an end when it was cut off', async () => {
    const file = join(tempFolder(), 'cut.ubj')
    const bytes = readFileSync(fixture('xgboost-ubj').file)
    writeFileSync(file, bytes.subarray(0, bytes.length / 2))
    await expect(push(file)).rejects.toMatchObject({ code: 'CONVERT_UNREADABLE' })
  })
})
