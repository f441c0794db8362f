// Quarantined events on their way in again.
import type { ArrivedEvent, IngestReport } from '../stream/types.js'
import type { QuarantineFilter, QuarantineStore } from './types.js'

const BATCH = 1000

/**
 * Takes the rows of a source that a filter names in again, as known at `nowMs`: that is when they count from, and a source's `lateness` is
 * measured against it. They leave quarantine once they are in or were refused anew; a kill in between takes them in twice, which the source's
 * `eventId` makes good.
 */
export async function retryRows(
  quarantine: QuarantineStore,
  filter: QuarantineFilter & { readonly of: string },
  push: (source: string, events: readonly ArrivedEvent[]) => Promise<IngestReport>,
  nowMs: number,
): Promise<IngestReport & { readonly cut: number }> {
  const rows = await quarantine.list({ ...filter, limit: Number.MAX_SAFE_INTEGER })
  const total = { accepted: 0, duplicates: 0, late: 0, refused: 0, problems: [] as IngestReport['problems'][number][] }
  let cut = 0
  // In the order in which they came; the list begins with the newest.
  for (let until = rows.length; until > 0; until -= BATCH) {
    const events: ArrivedEvent[] = []
    const ids: number[] = []
    for (let i = until - 1; i >= Math.max(0, until - BATCH); i--) {
      const row = parsed(rows[i]!.row)
      if (row === undefined) {
        cut++
        continue
      }
      events.push({ row, knownMs: nowMs })
      ids.push(rows[i]!.id)
    }
    if (events.length === 0) continue
    const report = await push(filter.of, events)
    await quarantine.remove({ ids })
    total.accepted += report.accepted
    total.duplicates += report.duplicates
    total.late += report.late
    total.refused += report.refused
    total.problems.push(...report.problems)
  }
  return { ...total, problems: total.problems.slice(0, 20), cut }
}

/** undefined: the text was cut off, or is of no row. */
function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const row: unknown = JSON.parse(text)
    return typeof row === 'object' && row !== null && !Array.isArray(row) ? (row as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
