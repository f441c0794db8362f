// What every Blobs promises, on a disk or in S3.
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Digest, parseDigest } from '../../src/core/index.js'
import type { Blobs } from '../../src/store/index.js'

export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)!
}

/** `make` gives an empty store. */
export function blobsContract(make: () => Promise<Blobs>): void {
  const put = (blobs: Blobs, key: string, text: string) => blobs.put(key, Readable.from([Buffer.from(text)]))
  const read = async (blobs: Blobs, key: string, range?: { start: number; end?: number }) =>
    (await buffer(await blobs.get(key, range))).toString()
  const keys = async (blobs: Blobs, prefix: string) => {
    const found: string[] = []
    for await (const blob of blobs.list(prefix)) found.push(blob.key)
    return found.sort()
  }

  it('gives back the bytes of any length, in whatever pieces they came', async () => {
    const blobs = await make()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), async (pieces) => {
        const whole = Buffer.concat(pieces)
        await blobs.put('a/b', Readable.from(pieces, { objectMode: true }), digestOf(whole))
        expect(await buffer(await blobs.get('a/b'))).toEqual(whole)
      }),
      { numRuns: 30 },
    )
  })

  it('keeps a blob larger than any buffer', async () => {
    const blobs = await make()
    const whole = Buffer.alloc(3_000_000, 'headrace')
    await blobs.put('large', Readable.from([whole]), digestOf(whole))
    expect(digestOf(await buffer(await blobs.get('large')))).toBe(digestOf(whole))
  })

  it('replaces a blob that is put again, and readers of the old one read it to its end', async () => {
    const blobs = await make()
    await put(blobs, 'a', 'old')
    const reader = await blobs.get('a')
    await put(blobs, 'a', 'new text')
    expect(await read(blobs, 'a')).toBe('new text')
    expect((await buffer(reader)).toString()).toBe('old')
  })

  it('stores nothing when the bytes are not the expected ones, and keeps what was there', async () => {
    const blobs = await make()
    await put(blobs, 'a', 'old')
    const wrong = blobs.put('a', Readable.from([Buffer.from('new')]), digestOf(Buffer.from('other')))
    await expect(wrong).rejects.toMatchObject({
      code: 'STORE_DIGEST_MISMATCH',
      params: { key: 'a', actual: digestOf(Buffer.from('new')) },
    })
    expect(await read(blobs, 'a')).toBe('old')
    const absent = blobs.put('b', Readable.from([Buffer.from('new')]), digestOf(Buffer.from('other')))
    await expect(absent).rejects.toMatchObject({ code: 'STORE_DIGEST_MISMATCH' })
    expect(await keys(blobs, '')).toEqual(['a'])
  })

  it('stores nothing when the source fails in the middle, and passes on why', async () => {
    const blobs = await make()
    const failure = new Error('connection lost')
    const source = Readable.from(
      (async function* () {
        yield Buffer.from('first half')
        throw failure
      })(),
    )
    await expect(blobs.put('a', source)).rejects.toBe(failure)
    expect(await keys(blobs, '')).toEqual([])
  })

  it('stores nothing when the source is cut off', async () => {
    const blobs = await make()
    const source = new Readable({ read() {} })
    source.push('first half')
    const cut = blobs.put('a', source)
    setImmediate(() => source.destroy())
    await expect(cut).rejects.toThrow()
    expect(await keys(blobs, '')).toEqual([])
  })

  it('reads ranges: the end is left out, and lies at the last byte when it is beyond', async () => {
    const blobs = await make()
    await put(blobs, 'a', '0123456789')
    expect(await read(blobs, 'a', { start: 2, end: 5 })).toBe('234')
    expect(await read(blobs, 'a', { start: 7 })).toBe('789')
    expect(await read(blobs, 'a', { start: 7, end: 99 })).toBe('789')
    expect(await read(blobs, 'a', { start: 0, end: 0 })).toBe('')
    expect(await read(blobs, 'a', { start: 10 })).toBe('')
  })

  it.each([
    ['starts behind the end of the blob', { start: 11 }],
    ['ends before it starts', { start: 5, end: 4 }],
    ['starts before the blob', { start: -1 }],
    ['is no whole number', { start: 0.5 }],
  ])('refuses a range that %s', async (_, range) => {
    const blobs = await make()
    await put(blobs, 'a', '0123456789')
    await expect(blobs.get('a', range)).rejects.toMatchObject({ code: 'STORE_RANGE_INVALID', status: 416 })
  })

  it('keeps an empty blob', async () => {
    const blobs = await make()
    await blobs.put('a', Readable.from([]), digestOf(Buffer.alloc(0)))
    expect(await read(blobs, 'a')).toBe('')
  })

  it('rejects reading what is not there, and removes it without complaint', async () => {
    const blobs = await make()
    await put(blobs, 'folder/a', 'x')
    for (const key of ['none', 'folder', 'folder/a/b', 'none/none']) {
      await expect(blobs.get(key)).rejects.toMatchObject({ code: 'STORE_BLOB_NOT_FOUND', params: { key } })
      await blobs.remove(key)
    }
    expect(await keys(blobs, '')).toEqual(['folder/a'])
  })

  it('removes a blob, and puts it again', async () => {
    const blobs = await make()
    await put(blobs, 'a/b', 'x')
    await blobs.remove('a/b')
    await expect(blobs.get('a/b')).rejects.toMatchObject({ code: 'STORE_BLOB_NOT_FOUND' })
    expect(await keys(blobs, '')).toEqual([])
    await put(blobs, 'a/b', 'y')
    expect(await read(blobs, 'a/b')).toBe('y')
  })

  it('lists keys and sizes by the beginning of the key, which need not end at a folder', async () => {
    const blobs = await make()
    for (const key of ['log/a/1', 'log/a/2', 'log/ab', 'log.txt', 'models/m/1/model.onnx']) await put(blobs, key, key)
    expect(await keys(blobs, '')).toEqual(['log.txt', 'log/a/1', 'log/a/2', 'log/ab', 'models/m/1/model.onnx'])
    expect(await keys(blobs, 'log')).toEqual(['log.txt', 'log/a/1', 'log/a/2', 'log/ab'])
    expect(await keys(blobs, 'log/')).toEqual(['log/a/1', 'log/a/2', 'log/ab'])
    expect(await keys(blobs, 'log/a')).toEqual(['log/a/1', 'log/a/2', 'log/ab'])
    expect(await keys(blobs, 'log/a/')).toEqual(['log/a/1', 'log/a/2'])
    expect(await keys(blobs, 'none/')).toEqual([])
    for await (const blob of blobs.list('models/')) {
      expect(blob).toEqual({ key: 'models/m/1/model.onnx', sizeBytes: 'models/m/1/model.onnx'.length })
    }
  })

  it.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    '../a',
    '.hidden',
    'a/.b',
    'a\\b',
    'a\0b',
    'a b',
    'é',
    'C:a',
  ])('refuses the key %j', async (key) => {
    const blobs = await make()
    const refused = { code: 'STORE_KEY_INVALID' }
    await expect(put(blobs, key, 'x')).rejects.toMatchObject(refused)
    await expect(blobs.get(key)).rejects.toMatchObject(refused)
    await expect(blobs.remove(key)).rejects.toMatchObject(refused)
  })

  it('refuses keys that are too long, and a prefix that leaves the store', async () => {
    const blobs = await make()
    const refused = { code: 'STORE_KEY_INVALID' }
    await expect(put(blobs, 'a'.repeat(256), 'x')).rejects.toMatchObject(refused)
    await expect(put(blobs, Array(600).fill('a').join('/'), 'x')).rejects.toMatchObject(refused)
    await expect(keys(blobs, '../')).rejects.toMatchObject(refused)
    await expect(keys(blobs, 'a/../../etc/')).rejects.toMatchObject(refused)
  })

  it('lets several puts of one key at once leave one of them whole', async () => {
    const blobs = await make()
    const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000))
    await Promise.all(texts.map((text) => put(blobs, 'a', text)))
    expect(texts).toContain(await read(blobs, 'a'))
  })
}
