// What a leader lease promises on any Sql engine.
import { expect, it, onTestFinished } from 'vitest'
import { systemClock, testPlatform } from '../../src/core/index.js'
import { createLeaderLease, requireTerm } from '../../src/decisions/index.js'
import type { OpenSql } from './sql.js'

/** `make` is called once a test. */
export function leaderContract(make: () => OpenSql): void {
  const options = { name: 'releases', leaseMs: 500 }
  const open = async (sql: Awaited<ReturnType<OpenSql>>, holder: string) => {
    const lease = await createLeaderLease({
      ...options,
      sql,
      platform: testPlatform({ clock: systemClock, seed: holder.length }),
      holder,
    })
    onTestFinished(() => lease.close())
    return lease
  }

  it('passes from one that closes to one that waits, and refuses what the earlier one still writes', async () => {
    const sql = await make()()
    onTestFinished(() => sql.close())
    const first = await open(sql, 'a')
    const second = await open(sql, 'bb')
    expect(first.term()).toBe(1)
    expect(second.term()).toBeUndefined()
    await sql.transaction((tx) => requireTerm(tx, 'releases', 1))
    await first.close()
    expect(first.term()).toBeUndefined()
    await expect.poll(() => second.term(), { timeout: 30_000 }).toBe(2)
    const late = sql.transaction((tx) => requireTerm(tx, 'releases', 1))
    await expect(late).rejects.toMatchObject({ code: 'DECISION_NOT_LEADER', params: { term: 1, now: 2 } })
    await sql.transaction((tx) => requireTerm(tx, 'releases', 2))
  })
}
