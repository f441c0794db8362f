import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { fileDigest } from './digest.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-digest-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('fileDigest', () => {
  it.each([0, 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_001])('is the SHA-256 of a file of %i bytes', async (size) => {
    const bytes = Buffer.alloc(size, 'headrace ')
    const file = join(folder, String(size))
    writeFileSync(file, bytes)
    expect(await fileDigest(file)).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  })

  it('is the same for each of many files at once, small and large, and for one that is asked for twice', async () => {
    const files = Array.from({ length: 20 }, (_, i) => {
      const file = join(folder, `many-${i}`)
      writeFileSync(file, Buffer.alloc(i % 5 === 0 ? 1_200_000 : 1_000 * i, i))
      return file
    })
    const digests = await Promise.all([...files, files[0]!].map(fileDigest))
    const expected = files.map((file) => `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`)
    expect(digests).toEqual([...expected, expected[0]])
  })

  it('rejects with the error of the file system', async () => {
    await expect(fileDigest(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
