import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { testPlatform } from '../../core/index.js'
import type { ArrivedEvent } from '../stream/types.js'
import { createQuarantine } from './quarantine.js'
import { retryRows } from './retry.js'

describe('retryRows', () => {
  it('takes events in again in their order, leaves what was cut off, and nothing twice', async () => {
    const quarantine = await createQuarantine({ folder: tempFolder(), platform: testPlatform() })
    const bad = (row: string) => ({ of: 'orders', reason: 'range amount', problem: '', atMs: 0, row })
    await quarantine.put([
      ...Array.from({ length: 1500 }, (_, i) => bad(JSON.stringify({ amount: i }))),
      bad('{"amount":1,"note":"cut o'),
      { ...bad('{"amount":7}'), of: 'clicks' },
    ])
    const taken: ArrivedEvent[] = []
    const push = async (_source: string, events: readonly ArrivedEvent[]) => {
      taken.push(...events)
      const refused = events.filter(({ row }) => row['amount'] === 3)
      await quarantine.put(refused.map(({ row }) => bad(JSON.stringify(row))))
      return { accepted: events.length - refused.length, duplicates: 0, late: 0, refused: refused.length, problems: [] }
    }
    const report = await retryRows(quarantine, { of: 'orders' }, push, 42)
    expect(report).toEqual({ accepted: 1499, duplicates: 0, late: 0, refused: 1, problems: [], cut: 1 })
    expect(taken.map(({ row }) => row['amount'])).toEqual(Array.from({ length: 1500 }, (_, i) => i))
    expect(taken[0]?.knownMs).toBe(42)
    const left = await quarantine.list({})
    expect(left.map(({ of, row }) => [of, row])).toEqual([
      ['orders', '{"amount":3}'],
      ['clicks', '{"amount":7}'],
      ['orders', '{"amount":1,"note":"cut o'],
    ])
  })
})
