import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { type EndpointName, ManualClock, testPlatform } from '../../core/index.js'
import { createDecisions } from '../../decisions/index.js'
import { openSql } from '../../store/index.js'
import { cacheMigrations, cacheSwitch, cacheSwitchKind, readCacheSwitches } from './switches.js'

const RULE = { kind: 'rule', name: 'cache hit rate' } as const
const PERSON = { kind: 'person', name: 'ada' } as const
const ranking = 'ranking' as EndpointName

async function setUp() {
  const platform = testPlatform({ clock: new ManualClock() })
  const sql = await openSql({ file: join(tempFolder(), 'metadata.db'), platform })
  onTestFinished(() => sql.close())
  await sql.migrate('serving-cache', cacheMigrations)
  const decisions = await createDecisions({ sql, platform, kinds: [cacheSwitchKind] })
  return { sql, decisions, state: async () => Object.fromEntries(await readCacheSwitches(sql)) }
}

describe('switching an endpoint’s cache', () => {
  it('is a decision with evidence, and a person can switch it on again', async () => {
    const { decisions, state } = await setUp()
    const off = await decisions.apply(cacheSwitch(ranking, false), { hitRate: 0.01, requests: 1200 }, RULE)
    expect(await state()).toEqual({ ranking: false })
    expect(await decisions.explain(off.id)).toMatchObject({
      summary: 'Switched the cache of endpoint ranking off.',
      canUndo: true,
      decision: { evidence: { hitRate: 0.01, requests: 1200 } },
    })
    await decisions.apply(cacheSwitch(ranking, true), {}, PERSON)
    expect(await state()).toEqual({ ranking: true })
  })

  it('is undone to what was before, also to never having been switched, and an undo can be undone', async () => {
    const { decisions, state } = await setUp()
    const off = await decisions.apply(cacheSwitch(ranking, false), {}, RULE)
    const undone = await decisions.undo(off.id, PERSON)
    expect(await state()).toEqual({})
    await decisions.undo(undone.id, PERSON)
    expect(await state()).toEqual({ ranking: false })
  })

  it('is refused when it does not say on or off', async () => {
    const { decisions } = await setUp()
    const change = { kind: 'cache.switch', subject: 'ranking', detail: { enabled: 'maybe' } }
    await expect(decisions.apply(change, {}, PERSON)).rejects.toMatchObject({ code: 'SERVING_CACHE_SWITCH_INVALID' })
  })
})
