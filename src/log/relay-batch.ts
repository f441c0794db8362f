// How records that another process encoded travel to the log that writes them: whole lines as they will be stored, apart from
// their position, which only the log can give.
import { LINE_END, LOST_TO_PRESSURE } from './record-encoder.js'
import type { Slab } from './slab.js'
import type { LogBatch, LogPosition } from './types.js'

/** What every line of a batch begins with. */
const UNPLACED_BYTES = '{"seq":0'.length

/** Copies line `index` of a batch into a slab, under its position. The payload goes first, then the record, as for `append`. */
export function placeLine(
  slab: Slab,
  seq: LogPosition,
  { lines, marks }: LogBatch,
  index: number,
): 'whole' | 'without-payload' | 'dropped' {
  const start = (index === 0 ? 0 : marks[2 * index - 2]!) + UNPLACED_BYTES
  const end = marks[2 * index]!
  const payloadStart = marks[2 * index + 1]!
  const before = slab.used
  if (!slab.tryText(`{"seq":${seq}`, slab.headerLimit)) return 'dropped'
  if (slab.tryBytes(lines, start, end, payloadStart === 0 ? slab.headerLimit : slab.payloadLimit)) return 'whole'
  if (
    payloadStart > 0 &&
    slab.tryBytes(lines, start, payloadStart, slab.headerLimit - LOST_TO_PRESSURE.length - LINE_END.length)
  ) {
    slab.tryText(LOST_TO_PRESSURE + LINE_END, slab.headerLimit)
    return 'without-payload'
  }
  slab.used = before
  return 'dropped'
}
