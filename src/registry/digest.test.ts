import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { fileDigest } from './digest.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-digest-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('fileDigest', () => {
  it.each([0, 1, 1024 * 1024, 32 * 1024 + 1, 5_000_001, 9_000_000])(
    'is the SHA-256 of a file of %i bytes',
    async (size) => {
      const bytes = Buffer.alloc(size, 'headrace ')
      const file = join(folder, String(size))
      writeFileSync(file, bytes)
      expect(await fileDigest(file)).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
    },
  )

  it('rejects with the error of the file system', async () => {
    await expect(fileDigest(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
