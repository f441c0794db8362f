import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import type { Digest } from '../../core/index.js'
import { testPlatform } from '../../core/index.js'
import type { RegistryState } from '../engines.js'
import { LocalCopy, type LocalState, readLocalCopy } from './local-copy.js'

const digest = `sha256:${'1'.repeat(64)}` as Digest
const known: LocalState = {
  position: { number: 7, hash: 'abc' },
  featureTables: { tables: [], live: { spend: 'spend.1' } },
  state: {
    digests: new Map(Array.from({ length: 1_200 }, (_, i) => [`fraud/${i}`, digest])),
    registered: new Map(),
    aliases: [{ model: 'fraud', alias: 'champion', version: 3 }],
    pointers: new Map(),
    repository: new Map(),
    cacheSwitches: new Map([['fraud', false]]),
  } as unknown as RegistryState,
}

describe('the copy of the metadata', () => {
  it('is read as it was written', async () => {
    const folder = tempFolder()
    const copy = new LocalCopy(folder, testPlatform())
    copy.changed(known)
    await copy.close()
    expect(await readLocalCopy(folder)).toEqual(known)
    expect(existsSync(join(folder, 'metadata-copy.json.new'))).toBe(false)
  })

  it('is none when it is damaged, of another format, or not there', async () => {
    const folder = tempFolder()
    expect(await readLocalCopy(folder)).toBeUndefined()
    const copy = new LocalCopy(folder, testPlatform())
    copy.changed(known)
    await copy.close()
    const file = join(folder, 'metadata-copy.json')
    const text = readFileSync(file, 'utf8')
    for (const damaged of ['', text.slice(0, -20), text.replace('"format":1', '"format":99')]) {
      writeFileSync(file, damaged)
      expect(await readLocalCopy(folder)).toBeUndefined()
    }
  })
})
