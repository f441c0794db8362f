import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { ADA, digestOf, exampleModel, openTestRegistry } from '../../test/support/registry.js'
import { createUploadSessions } from './upload-sessions.js'

async function setUp() {
  const test = await openTestRegistry()
  const onnx = await exampleModel('fraud', 1)
  const restart = () => createUploadSessions({ ...test, folder: join(test.folder, 'incoming') })
  const announced = {
    model: 'fraud',
    files: [
      { path: 'model.onnx', digest: digestOf(onnx), sizeBytes: onnx.length },
      { path: 'empty.txt', digest: digestOf(''), sizeBytes: 0 },
    ],
    metrics: { auc: Number.NaN },
  }
  return { ...test, onnx, restart, announced }
}

/** Breaks after these bytes, as a connection does. */
function cut(bytes: Uint8Array): Readable {
  return Readable.from(
    (async function* () {
      yield bytes
      throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
    })(),
  )
}

describe('an upload in pieces', () => {
  it('goes on after a cut and a restart, and shows nothing before it is whole', async () => {
    const { registry, restart, announced, onnx } = await setUp()
    const first = restart()
    const { id, files } = await first.begin(announced)
    expect(files.map(({ offset }) => offset)).toEqual([0, 0])
    await expect(first.write(id, 'model.onnx', 0, cut(onnx.subarray(0, 1000)))).rejects.toThrow('aborted')
    await expect(first.finish(id, ADA)).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_OFFSET' })
    expect(await registry.listModels()).toEqual([])

    const second = restart()
    const again = await second.begin(announced)
    expect(again).toMatchObject({ id, files: [{ offset: 1000 }, {}] })
    await second.write(id, 'model.onnx', 1000, Readable.from([onnx.subarray(1000)]))
    const { version } = await second.finish(id, ADA)
    expect(version).toMatchObject({ version: 1, isServable: true, metrics: { auc: Number.NaN } })
    await expect(second.get(id)).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_NOT_FOUND' })
  })

  it('sends nothing that the registry has', async () => {
    const { restart, announced, onnx, register } = await setUp()
    await register('other', { 'model.onnx': onnx })
    const { files } = await restart().begin(announced)
    expect(files[0]).toMatchObject({ offset: onnx.length })
  })

  it('refuses pieces at the wrong place, files that were not announced, and more than was announced', async () => {
    const { restart, announced, onnx } = await setUp()
    const uploads = restart()
    const { id } = await uploads.begin(announced)
    await expect(uploads.write(id, 'model.onnx', 5, Readable.from([onnx]))).rejects.toMatchObject({
      code: 'REGISTRY_UPLOAD_OFFSET',
      params: { expected: 0, offset: 5 },
    })
    await expect(uploads.write(id, '../x', 0, Readable.from([onnx]))).rejects.toMatchObject({
      code: 'REGISTRY_FILES_INVALID',
    })
    await expect(uploads.write(id, 'model.onnx', 0, Readable.from([onnx, Buffer.from('more')]))).rejects.toMatchObject({
      code: 'REGISTRY_FILES_INVALID',
    })
    await expect(uploads.get('../../etc')).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_NOT_FOUND' })
  })

  it('throws away what is not what was announced, and takes it anew', async () => {
    const { restart, announced, onnx } = await setUp()
    const uploads = restart()
    const { id } = await uploads.begin(announced)
    await uploads.write(id, 'model.onnx', 0, Readable.from([Buffer.alloc(onnx.length)]))
    await expect(uploads.finish(id, ADA)).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_DIGEST' })
    expect(await uploads.get(id)).toMatchObject({ files: [{ offset: 0 }, {}] })
    await uploads.write(id, 'model.onnx', 0, Readable.from([onnx]))
    expect(await uploads.finish(id, ADA)).toMatchObject({ isNew: true })
  })

  it('goes on where it was when its files are announced in another order', async () => {
    const { restart, announced, onnx } = await setUp()
    const uploads = restart()
    const { id } = await uploads.begin(announced)
    await uploads.write(id, 'model.onnx', 0, Readable.from([onnx]))
    const again = await uploads.begin({ ...announced, files: announced.files.toReversed() })
    expect(again).toMatchObject({ id, files: [{ offset: 0 }, { path: 'model.onnx', offset: onnx.length }] })
    expect(await uploads.finish(id, ADA)).toMatchObject({ isNew: true })
  })

  it('does not believe a size that the known bytes of a digest have not', async () => {
    const { restart, announced, onnx, register, registry } = await setUp()
    await register('other', { 'model.onnx': onnx })
    const uploads = restart()
    const files = [{ ...announced.files[0]!, sizeBytes: 5 }]
    const { id, files: begun } = await uploads.begin({ model: 'liar', files })
    expect(begun[0]!.offset).toBe(0)
    await uploads.write(id, 'model.onnx', 0, Readable.from([onnx.subarray(0, 5)]))
    await expect(uploads.finish(id, ADA)).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_DIGEST' })
    await expect(registry.registerVersion({ model: 'liar', files, source: 'test', by: ADA })).rejects.toMatchObject({
      code: 'REGISTRY_BLOB_MISSING',
    })
  })

  it('begins a file anew that two processes wrote at once', async () => {
    const { restart, announced, onnx } = await setUp()
    const [one, two] = [restart(), restart()]
    const { id } = await one.begin(announced)
    let meet = (): void => undefined
    const both = new Promise<void>((resolve) => (meet = resolve))
    async function* slowly() {
      await both
      yield onnx
    }
    const first = one.write(id, 'model.onnx', 0, Readable.from(slowly()))
    const second = two.write(id, 'model.onnx', 0, Readable.from([onnx]))
    await second
    meet()
    await first
    await expect(one.finish(id, ADA)).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_DIGEST' })
    await one.write(id, 'model.onnx', 0, Readable.from([onnx]))
    expect(await one.finish(id, ADA)).toMatchObject({ isNew: true })
  })

  it('is not collected while pieces arrive', async () => {
    const { restart, announced, onnx, clock } = await setUp()
    const uploads = restart()
    const { id, expiresMs } = await uploads.begin(announced)
    clock.advance(expiresMs - clock.nowMs() - 1000)
    await uploads.write(id, 'model.onnx', 0, Readable.from([onnx.subarray(0, 10)]))
    clock.advance(2000)
    await uploads.sweep()
    expect(await uploads.get(id)).toMatchObject({ files: [{ offset: 10 }, {}] })
  })

  it('is collected a day after its last piece', async () => {
    const { restart, announced, clock } = await setUp()
    const uploads = restart()
    const { id, expiresMs } = await uploads.begin(announced)
    clock.advance(expiresMs - clock.nowMs() - 1000)
    await uploads.sweep()
    await uploads.get(id)
    clock.advance(2000)
    await uploads.sweep()
    await expect(uploads.get(id)).rejects.toMatchObject({ code: 'REGISTRY_UPLOAD_NOT_FOUND' })
  })
})
