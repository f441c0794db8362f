// A ledger that cannot be reached does not stop predictions: this node then gives out a tenth of a day's quota by itself, and tells the
// ledger afterwards.
import type { Logger } from '../../core/index.js'
import type { QuotaLedger } from './types.js'

const SHARE = 0.1

interface Owed {
  readonly key: string
  readonly day: string
  rows: number
  /** Of the share, over all outages of the day. */
  given: number
}

export function withLocalShare(ledger: QuotaLedger, logger: Logger): QuotaLedger {
  const owed = new Map<string, Owed>()
  let isAway = false

  async function settle(): Promise<void> {
    for (const debt of owed.values()) {
      if (debt.rows === 0) continue
      const { rows } = debt
      debt.rows = 0
      try {
        await ledger.add(debt.key, debt.day, rows)
      } catch (error) {
        debt.rows += rows
        throw error
      }
    }
  }

  function debtOf(key: string, day: string): Owed {
    const id = `${key} ${day}`
    let debt = owed.get(id)
    if (debt === undefined) {
      // Yesterday's are settled, or lost with the day they were for.
      for (const [other, { day: otherDay, rows }] of owed) if (otherDay < day && rows === 0) owed.delete(other)
      debt = { key, day, rows: 0, given: 0 }
      owed.set(id, debt)
    }
    return debt
  }

  return {
    async reserve(wanted) {
      try {
        await settle()
        const granted = await ledger.reserve(wanted)
        if (isAway) logger.info({}, 'quotas are counted together again')
        isAway = false
        return granted
      } catch (error) {
        if (!isAway)
          logger.warn(
            { err: error },
            'where quotas are counted cannot be reached: this node gives out a tenth of each day’s quota by itself',
          )
        isAway = true
        const debt = debtOf(wanted.key, wanted.day)
        if (debt.given + wanted.need > Math.max(1, wanted.limit * SHARE)) return 0
        debt.given += wanted.need
        debt.rows += wanted.need
        return wanted.need
      }
    },
    async add(key, day, rows) {
      try {
        await ledger.add(key, day, rows)
      } catch {
        // Given back later, with what is owed.
        debtOf(key, day).rows += rows
      }
    },
  }
}
