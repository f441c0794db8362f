import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { blobsContract } from '../../test/contract/blobs.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform } from '../core/index.js'
import { createDiskBlobs } from './index.js'

const open = (folder: string) => createDiskBlobs(folder, testPlatform())

describe('blobs on disk', () => {
  blobsContract(() => open(join(tempFolder(), 'not', 'yet', 'there')))

  it('removes what a killed process had begun when it opens', async () => {
    const folder = tempFolder()
    mkdirSync(join(folder, '.incoming'))
    writeFileSync(join(folder, '.incoming', 'half'), 'first half')
    const blobs = await open(folder)
    expect(readdirSync(join(folder, '.incoming'))).toEqual([])
    for await (const blob of blobs.list('')) expect.fail(`listed ${blob.key}`)
  })

  it('leaves nothing in its incoming folder, whether a put works or fails', async () => {
    const folder = tempFolder()
    const blobs = await open(folder)
    await blobs.put('a', Readable.from([Buffer.from('x')]))
    await expect(blobs.put('b', Readable.from([{ not: 'bytes' }]))).rejects.toThrow(TypeError)
    expect(readdirSync(join(folder, '.incoming'))).toEqual([])
    expect(readdirSync(folder).sort()).toEqual(['.incoming', 'a'])
  })

  it('refuses a key that is the folder of other blobs, and one below a blob', async () => {
    const blobs = await open(tempFolder())
    await blobs.put('a/b', Readable.from([Buffer.from('x')]))
    await expect(blobs.put('a', Readable.from(['x']))).rejects.toMatchObject({ code: 'STORE_KEY_INVALID' })
    await expect(blobs.put('a/b/c', Readable.from(['x']))).rejects.toMatchObject({ code: 'STORE_KEY_INVALID' })
  })

  it('lists only its own files: no links, no hidden files, no names that cannot be keys', async () => {
    const folder = tempFolder()
    const blobs = await open(folder)
    symlinkSync('/etc/hostname', join(folder, 'link'))
    writeFileSync(join(folder, '.DS_Store'), '')
    writeFileSync(join(folder, 'not a key'), '')
    await blobs.put('a', Readable.from(['x']))
    const found: string[] = []
    for await (const blob of blobs.list('')) found.push(blob.key)
    expect(found).toEqual(['a'])
  })
})
