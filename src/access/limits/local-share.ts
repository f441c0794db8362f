// A ledger that cannot be reached does not stop predictions: this node then gives out a tenth of a day's quota by itself, and tells the
// ledger afterwards.
import type { Clock, Logger } from '../../core/index.js'
import { answeredWithin, NoAnswerError } from './answered-within.js'
import type { QuotaLedger, RowsWanted } from './types.js'

const SHARE = 0.1
/** One that hangs is not asked again for so long. */
const HUNG_MS = 1000

interface Owed {
  readonly key: string
  readonly day: string
  rows: number
  /** Of the share, over all outages of the day. */
  given: number
}

export interface LocalShareOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** How long a prediction waits for the ledger at most. */
  readonly answerLimitMs: number
}

export function withLocalShare(ledger: QuotaLedger, options: LocalShareOptions): QuotaLedger {
  const { clock, logger, answerLimitMs } = options
  const owed = new Map<string, Owed>()
  let hungUntilMs = Number.NEGATIVE_INFINITY
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

  async function ask(wanted: RowsWanted): Promise<number> {
    await settle()
    return ledger.reserve(wanted)
  }

  function ownShare({ key, day, limit, need }: RowsWanted): number {
    const debt = debtOf(key, day)
    if (debt.given + need > Math.max(1, limit * SHARE)) return 0
    debt.given += need
    debt.rows += need
    return need
  }

  /** What a ledger that hung reserves after all, for nobody any more. */
  function giveBackLate(asking: Promise<number>, { key, day }: RowsWanted): void {
    asking.then(
      (granted) => {
        if (granted > 0) debtOf(key, day).rows -= granted
      },
      () => undefined,
    )
  }

  return {
    async reserve(wanted) {
      if (clock.monotonicMs() < hungUntilMs) return ownShare(wanted)
      const asking = ask(wanted)
      try {
        const granted = await answeredWithin(clock, answerLimitMs, asking)
        if (isAway) logger.info({}, 'quotas are counted together again')
        isAway = false
        return granted
      } catch (error) {
        if (error instanceof NoAnswerError) {
          hungUntilMs = clock.monotonicMs() + HUNG_MS
          giveBackLate(asking, wanted)
        }
        if (!isAway)
          logger.warn(
            { err: error },
            'where quotas are counted cannot be reached: this node gives out a tenth of each day’s quota by itself',
          )
        isAway = true
        return ownShare(wanted)
      }
    },
    async add(key, day, rows) {
      const adding = ledger.add(key, day, rows).catch(() => {
        // Later, with what is owed.
        debtOf(key, day).rows += rows
      })
      // One that hangs gets it when it goes on; a server that ends does not wait for that.
      await answeredWithin(clock, answerLimitMs, adding).catch(() => undefined)
    },
  }
}
