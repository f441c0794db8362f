import { appendFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { testPlatform } from '../../core/index.js'
import type { QuarantinedRow } from '../stream/types.js'
import { createQuarantine } from './quarantine.js'

const bad = (n: number, of = 'orders', reason = 'range amount'): QuarantinedRow => ({
  of,
  reason,
  problem: `amount is ${-n}`,
  atMs: n,
  row: JSON.stringify({ amount: -n }),
})

describe('the quarantine', () => {
  it('keeps rows over a restart, counts them by source and reason, and lists the newest first', async () => {
    const folder = tempFolder()
    const first = await createQuarantine({ folder, platform: testPlatform() })
    await first.put([bad(1), bad(2), bad(3, 'clicks', 'notNull user_id')])
    await first.close()
    const platform = testPlatform()
    const again = await createQuarantine({ folder, platform })
    await again.put([bad(4)])
    expect(await again.counts()).toEqual([
      { of: 'clicks', reason: 'notNull user_id', rows: 1, dropped: 0 },
      { of: 'orders', reason: 'range amount', rows: 3, dropped: 0 },
    ])
    expect((await again.list({ of: 'orders' })).map(({ id, atMs }) => [id, atMs])).toEqual([
      [4, 4],
      [2, 2],
      [1, 1],
    ])
    expect((await again.list({ limit: 1 }))[0]?.row).toBe('{"amount":-4}')
    expect(await platform.metrics.expose()).toContain(
      'ml_feature_quarantined_total{of="orders",reason="range amount"} 1',
    )
  })

  it('drops the oldest when there are too many, and counts what it dropped', async () => {
    const folder = tempFolder()
    const options = { folder, platform: testPlatform(), maxRows: 160 }
    const quarantine = await createQuarantine(options)
    for (let n = 0; n < 500; n += 50) await quarantine.put(Array.from({ length: 50 }, (_, i) => bad(n + i)))
    const [counts] = await quarantine.counts()
    expect(counts!.rows).toBeLessThanOrEqual(160)
    expect(counts!.rows).toBeGreaterThan(140)
    expect(counts!.rows + counts!.dropped).toBe(500)
    expect((await quarantine.list({ limit: 1 }))[0]?.atMs).toBe(499)
    await quarantine.close()
    expect((await readdir(folder)).length).toBeLessThan(20)
    expect(await (await createQuarantine({ ...options, platform: testPlatform() })).counts()).toEqual([counts])
  })

  it('removes what a filter takes, and nothing else', async () => {
    const folder = tempFolder()
    const quarantine = await createQuarantine({ folder, platform: testPlatform() })
    await quarantine.put([bad(1), bad(2, 'clicks'), bad(3), bad(4, 'orders', 'notNull id')])
    expect(await quarantine.remove({ of: 'orders', reason: 'range amount', ids: [1, 2, 4] })).toBe(1)
    expect((await quarantine.list({})).map(({ id }) => id)).toEqual([4, 3, 2])
    await quarantine.put([bad(5)])
    expect((await quarantine.list({ limit: 1 }))[0]?.id).toBe(5)
    const again = await createQuarantine({ folder, platform: testPlatform() })
    expect((await again.list({})).map(({ id }) => id)).toEqual([5, 4, 3, 2])
  })

  it('reads on after a line that a kill has torn', async () => {
    const folder = tempFolder()
    const killed = await createQuarantine({ folder, platform: testPlatform() })
    await killed.put([bad(1)])
    await appendFile(join(folder, '00000001.ndjson'), '{"of":"orders","rea')
    const again = await createQuarantine({ folder, platform: testPlatform() })
    await again.put([bad(2)])
    expect((await again.list({})).map(({ atMs }) => atMs)).toEqual([2, 1])
    const third = await createQuarantine({ folder, platform: testPlatform() })
    expect((await third.list({})).map(({ id }) => id)).toEqual([2, 1])
  })

  it('keeps 64 Ki characters of a large row', async () => {
    const quarantine = await createQuarantine({ folder: tempFolder(), platform: testPlatform() })
    await quarantine.put([{ ...bad(1), row: 'x'.repeat(100_000) }])
    expect((await quarantine.list({}))[0]?.row.length).toBe(65_536)
  })
})
