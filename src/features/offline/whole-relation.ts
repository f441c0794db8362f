// All that is known of a view, whatever it is fed from: what training sets, their proof and checks of what was served read.
import type { CompiledView } from '../compiled.js'
import { latenessMsOf, seamOf } from '../seam.js'
import { type Relation, relationOf, type SourceAccess } from './relation.js'

/**
 * Of windows with a batch source and a stream: the batch source before the seam, the stream from it on, as they are materialised. Of rows, all
 * of both: the newest wins, as in the online store, and it was known as soon as either had it.
 */
export async function wholeRelation(access: SourceAccess, view: CompiledView): Promise<Relation> {
  const batch = await relationOf(access, view)
  if (view.source === undefined || view.stream === undefined) return batch
  const stream = await relationOf(access, { ...view, source: undefined })
  const all = (before = '', after = '') => ({
    ...batch,
    sql: `SELECT * FROM (${batch.sql}) AS batch${before} UNION ALL SELECT * FROM (${stream.sql}) AS stream${after}`,
    isKnownAtOnce: false,
  })
  if (view.kind === 'rows') return all()
  const [newest] = await access.duck.rows(
    `SELECT max(known_ms) FROM (${batch.sql}) AS r WHERE known_ms <= ${Math.floor(access.nowMs)}`,
  )
  const newestKnownMs = newest![0] === null ? undefined : Number(newest![0])
  const kept = { sinceMs: await access.eventsSinceMs(view.stream.name), latenessMs: latenessMsOf(view.stream) }
  const seam = seamOf(newestKnownMs, kept, view.hopMs)
  return seam === undefined
    ? { ...stream, types: batch.types }
    : all(` WHERE event_ms < ${seam.seamMs}`, ` WHERE event_ms >= ${seam.seamMs}`)
}
