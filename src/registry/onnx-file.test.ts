import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { create } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { buildModel, linearModel, mlpModel, node, value } from '../../test/support/onnx-models.js'
import { TensorProto_DataLocation, TensorProtoSchema } from '../formats/index.js'
import { readOnnxOutline } from './onnx-file.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-onnx-file-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
function written(bytes: Uint8Array): string {
  const file = join(folder, `${files++}.onnx`)
  writeFileSync(file, bytes)
  return file
}

function externalModel(entries: Record<string, string>[]): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', 4])],
    outputs: [value('y', 'FP32', ['rows', 4])],
    nodes: [node('Identity', ['x'], ['y'])],
    initializers: entries.map((entry, i) =>
      create(TensorProtoSchema, {
        name: `w${i}`,
        dims: [2n],
        dataType: 1,
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: Object.entries(entry).map(([key, value]) => ({ key, value })),
      }),
    ),
  })
}

describe('readOnnxOutline', () => {
  it('finds every exported fixture and example model whole', async () => {
    const roots = ['../../test/fixtures/exports', '../../examples/shop/models'].map((path) =>
      fileURLToPath(new URL(path, import.meta.url)),
    )
    const models = roots.flatMap((root) =>
      readdirSync(root, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.onnx'))
        .map((name) => join(root, name)),
    )
    expect(models.length).toBeGreaterThan(8)
    for (const model of models)
      expect(await readOnnxOutline(model), model).toEqual({ kind: 'whole', externalFiles: [] })
  })

  it('finds no proper beginning of a model whole', async () => {
    const model = linearModel([1, 2, 3, 4])
    for (let length = 0; length < model.length; length++) {
      const outline = await readOnnxOutline(written(model.subarray(0, length)))
      // The last field is the second operator set: without it the file is a smaller model that is whole.
      if (outline.kind === 'whole') expect(length).toBeGreaterThan(model.length - 20)
    }
    expect((await readOnnxOutline(written(model))).kind).toBe('whole')
  })

  it('finds no large file whole that was cut off or ends in zeros, as preallocating tools leave it', async () => {
    const model = mlpModel({ inputs: 64, hidden: [256, 256], outputs: 4, seed: 3 })
    expect(model.length).toBeGreaterThan(300_000)
    expect((await readOnnxOutline(written(model))).kind).toBe('whole')
    for (const share of [0.01, 0.3, 0.7, 0.99]) {
      const length = Math.floor(model.length * share)
      expect((await readOnnxOutline(written(model.subarray(0, length)))).kind).toBe('broken')
      const padded = new Uint8Array(model.length)
      padded.set(model.subarray(0, length))
      expect((await readOnnxOutline(written(padded))).kind).toBe('broken')
    }
  })

  it('says where a file that was cut off ends', async () => {
    const model = linearModel([1, 2])
    const outline = await readOnnxOutline(written(model.subarray(0, 60)))
    expect(outline).toMatchObject({ kind: 'broken', reason: expect.stringContaining('it ends at byte 60') })
  })

  it('never fails or hangs on arbitrary bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const outline = await readOnnxOutline(written(bytes))
        expect(['whole', 'broken']).toContain(outline.kind)
      }),
      { numRuns: 300 },
    )
  })

  it('names the files that hold external tensors and how long they must be', async () => {
    const model = externalModel([
      { location: 'weights.bin', offset: '0', length: '4096' },
      { location: 'weights.bin', offset: '4096', length: '100' },
      { location: 'parts/more.bin' },
    ])
    expect(await readOnnxOutline(written(model))).toEqual({
      kind: 'whole',
      externalFiles: [
        { location: 'weights.bin', leastBytes: 4196 },
        { location: 'parts/more.bin', leastBytes: 0 },
      ],
    })
  })

  it.each(['../secrets.bin', '/etc/passwd', 'a/../../b', 'C:\\b.bin', '..\\b.bin', ''])(
    'refuses external tensors outside the folder of the model: %j',
    async (location) => {
      const outline = await readOnnxOutline(written(externalModel([{ location }])))
      expect(outline).toMatchObject({ kind: 'broken', reason: expect.stringContaining('outside its own folder') })
    },
  )

  it('jumps over payloads instead of reading them', async () => {
    const { open } = await import('node:fs/promises')
    const model = mlpModel({ inputs: 1024, hidden: [1024], outputs: 2, seed: 1 })
    const file = written(model)
    const handle = await open(file, 'r')
    const prototype = Object.getPrototypeOf(handle) as { read: (...args: unknown[]) => Promise<{ bytesRead: number }> }
    await handle.close()
    const read = prototype.read
    let bytes = 0
    prototype.read = async function (this: unknown, ...args: unknown[]) {
      const result = await read.apply(this, args)
      bytes += result.bytesRead
      return result
    }
    try {
      expect((await readOnnxOutline(file)).kind).toBe('whole')
    } finally {
      prototype.read = read
    }
    expect(readFileSync(file).length).toBeGreaterThan(4_000_000)
    expect(bytes).toBeLessThan(200_000)
  })
})
