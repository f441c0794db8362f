import { describe, expect, it } from 'vitest'
import { outcome } from '../../test/contract/prediction-log.js'
import { openTestLog } from '../../test/support/log.js'
import { readRecords } from './read.js'

const HOUR_MS = 3_600_000

describe('reading a log from a moment on', () => {
  it('passes over segments that were finished before, and never over the one that is written', async () => {
    const { log, clock } = await openTestLog({ segmentHours: 1 })
    const startMs = clock.nowMs()
    for (let hour = 0; hour < 4; hour++) {
      log.append(outcome({ timeMs: clock.nowMs() }))
      await log.flush()
      clock.advance(HOUR_MS)
    }
    const since = async (writtenSinceMs: number | undefined, from?: number) => {
      const found: number[] = []
      const options = { ...(writtenSinceMs !== undefined && { writtenSinceMs }), ...(from && { from }) }
      for await (const record of readRecords(log.folder, options)) found.push(record.seq)
      return found
    }
    expect(await since(undefined)).toEqual([1, 2, 3, 4])
    expect(await since(startMs)).toEqual([1, 2, 3, 4])
    expect(await since(startMs + 1)).toEqual([2, 3, 4])
    expect(await since(startMs + 2 * HOUR_MS)).toEqual([3, 4])
    expect(await since(startMs + 100 * HOUR_MS)).toEqual([4])
    expect(await since(startMs, 3)).toEqual([3, 4])
    await log.close()
  })
})
