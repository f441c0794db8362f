import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform } from '../core/index.js'
import { openSql } from '../store/index.js'
import { createDecisions, type Decision, GENESIS_HASH, hashDecision } from './index.js'

const fixture = (name: string) => new URL(`../../test/fixtures/decisions/${name}`, import.meta.url)

describe('the stored format of decisions, version 1', () => {
  const decisions = JSON.parse(readFileSync(fixture('chain-1.json'), 'utf8')) as Decision[]

  it('gives the hashes that the Python script computed', () => {
    const lines = readFileSync(fixture('chain-1.verified.txt'), 'utf8').trimEnd().split('\n')
    let previousHash = GENESIS_HASH
    const computed = decisions.map((decision) => {
      previousHash = hashDecision({ ...decision, previousHash })
      return `${decision.number} ${decision.id} ${previousHash}`
    })
    expect([...computed, `ok: ${decisions.length} decisions, head ${previousHash}`]).toEqual(lines)
  })

  it('opens a database written by the first release, verifies it and reads what was written', async () => {
    const file = join(tempFolder(), 'metadata.db')
    copyFileSync(fixture('chain-1.db'), file)
    const sql = await openSql({ file, platform: testPlatform() })
    onTestFinished(() => sql.close())
    const stored = await createDecisions({ sql, platform: testPlatform(), kinds: [] })
    expect(await stored.verify()).toEqual({ ok: true, count: 6, head: decisions.at(-1)!.hash })
    expect((await stored.list()).reverse()).toEqual(decisions)
  })
})
