import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Collector, outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { diskError, FaultyFiles, openTestLog, temporaryFolder } from '../../test/support/log.js'
import type { FileLog, StoredRecord } from './types.js'

const DAY_MS = 24 * 60 * 60_000

/** Small segments: one for each flush. */
const SMALL = { segmentBytes: 64 * 1024, segmentHours: 1 }
const raw = `[{"name":"x","datatype":"BYTES","shape":[1],"data":["${'x'.repeat(40_000)}"]}]`

async function appendSegment(
  log: FileLog,
  id: string,
  endpoint = 'fraud',
  timeMs = Date.UTC(2026, 0, 1),
): Promise<void> {
  log.append(prediction({ id, endpoint, timeMs, payload: payload({ rawInputs: raw }) }))
  await log.flush()
}

const seqs = (collector: Collector): number[] => collector.records.map((record) => record.seq)

describe('subscribe', () => {
  it('reads on across segments that were there and segments that come', async () => {
    const { log } = await openTestLog(SMALL)
    for (let i = 0; i < 3; i++) await appendSegment(log, `old-${i}`)
    const collector = new Collector()
    const stop = log.subscribe(2, collector.take)
    await collector.until(2)
    for (let i = 0; i < 3; i++) await appendSegment(log, `new-${i}`)
    await collector.until(5)
    stop()
    expect(seqs(collector)).toEqual([2, 3, 4, 5, 6])
    expect(await readdir(log.folder)).toHaveLength(6)
  })

  it('delivers only what is durable', async () => {
    const files = new FaultyFiles()
    const { log } = await openTestLog({ files })
    const collector = new Collector()
    const stop = log.subscribe(1, async (batch) => {
      expect(log.durableThrough()).toBeGreaterThanOrEqual(batch.at(-1)!.seq)
      await collector.take(batch)
    })
    await log.whenDurable(log.append(outcome()))
    await collector.until(1)

    let release = (): void => undefined
    const synced = new Promise<void>((resolve) => {
      release = resolve
    })
    files.wait = (operation) => (operation === 'datasync' ? synced : undefined)
    const position = log.append(outcome())
    const durable = log.whenDurable(position)
    while (!files.done.slice(-1)[0]?.startsWith('write')) await new Promise((resolve) => setImmediate(resolve))
    expect(seqs(collector)).toEqual([1])
    release()
    await durable
    await collector.until(2)
    stop()
    expect(seqs(collector)).toEqual([1, 2])
  })

  it('keeps batches small, and one at a time', async () => {
    const { log } = await openTestLog()
    for (let i = 0; i < 1000; i++) log.append(outcome())
    for (let i = 0; i < 10; i++) log.append(prediction({ payload: payload({ rawInputs: raw }) }))
    await log.flush()
    const sizes: number[] = []
    const bytes: number[] = []
    const collector = new Collector()
    const stop = log.subscribe(1, async (batch) => {
      sizes.push(batch.length)
      bytes.push(JSON.stringify(batch).length)
      await new Promise((resolve) => setImmediate(resolve))
      await collector.take(batch)
    })
    await collector.until(1010)
    stop()
    expect(Math.max(...sizes)).toBeLessThanOrEqual(256)
    expect(Math.max(...bytes)).toBeLessThan(400_000)
    expect(seqs(collector)).toEqual(Array.from({ length: 1010 }, (_, i) => i + 1))
  })

  it('does not block other readers, nor appends, while one is slow', async () => {
    const { log } = await openTestLog()
    let release = (): void => undefined
    const slow = new Collector()
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const stopSlow = log.subscribe(1, async (batch) => {
      await gate
      await slow.take(batch)
    })
    const fast = new Collector()
    const stopFast = log.subscribe(1, fast.take)
    for (let i = 1; i <= 20; i++) {
      await log.whenDurable(log.append(outcome()))
      await fast.until(i)
    }
    expect(slow.records).toEqual([])
    release()
    await slow.until(20)
    stopSlow()
    stopFast()
    expect(seqs(slow)).toEqual(seqs(fast))
  })

  it('repeats exactly the batch that failed, however often', async () => {
    const { log, clock, platform } = await openTestLog()
    for (let i = 0; i < 3; i++) log.append(outcome())
    await log.flush()
    const seen: number[][] = []
    const collector = new Collector()
    const stop = log.subscribe(2, async (batch) => {
      seen.push(batch.map((record) => record.seq))
      if (seen.length < 4) throw new Error('not yet')
      await collector.take(batch)
    })
    while (collector.records.length === 0) {
      clock.advance(100)
      await new Promise((resolve) => setImmediate(resolve))
    }
    stop()
    expect(seen).toEqual([
      [2, 3],
      [2, 3],
      [2, 3],
      [2, 3],
    ])
    expect(await platform.metrics.expose()).toContain('ml_log_subscriber_failures_total 3\n')
  })

  it('goes on where it was when reading failed', async () => {
    const files = new FaultyFiles()
    const { log, clock } = await openTestLog({ ...SMALL, files })
    for (let i = 0; i < 3; i++) await appendSegment(log, `p${i}`)
    let failures = 0
    files.fail = (operation) =>
      operation === 'read' && failures++ % 2 === 1 && failures < 8 ? diskError('EIO') : undefined
    const collector = new Collector()
    const stop = log.subscribe(1, collector.take)
    while (collector.records.length < 3) {
      clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    stop()
    expect(seqs(collector)).toEqual([1, 2, 3])
    expect(failures).toBeGreaterThan(2)
  })

  it('survives retention that rewrites and removes the segments it is reading', async () => {
    const { log, clock } = await openTestLog({
      ...SMALL,
      policy: (endpoint) => ({ payloadSample: 1, redact: [], retentionDays: endpoint === 'short' ? 1 : 30 }),
    })
    const startMs = clock.nowMs()
    for (let i = 0; i < 6; i++) await appendSegment(log, `p${i}`, i % 2 === 0 ? 'short' : 'long', startMs)
    const batches: StoredRecord[][] = []
    const collector = new Collector()
    const stop = log.subscribe(1, async (batch) => {
      if (batches.push(batch) === 1) {
        clock.advance(2 * DAY_MS)
        const report = await log.applyRetention()
        expect(report).toMatchObject({ removedSegments: 3, rewrittenSegments: 0, removedRecords: 3 })
      }
      await collector.take(batch)
    })
    await collector.until(1)
    await appendSegment(log, 'last', 'long', clock.nowMs())
    while (seqs(collector).at(-1) !== 7) await new Promise((resolve) => setImmediate(resolve))
    stop()
    // What it had read before stays delivered; what was removed before it got there is passed over.
    const delivered = seqs(collector)
    expect(delivered).toEqual([...new Set(delivered)].sort((a, b) => a - b))
    expect(delivered).toEqual(expect.arrayContaining([2, 4, 6, 7]))
  })

  it('continues with the next position when the one asked for was removed', async () => {
    const policy = () => ({ payloadSample: 1, redact: [], retentionDays: 1 })
    const { log, clock } = await openTestLog({ ...SMALL, policy })
    for (let i = 0; i < 4; i++) await appendSegment(log, `p${i}`, 'fraud', clock.nowMs())
    clock.advance(2 * DAY_MS)
    await appendSegment(log, 'fresh', 'fraud', clock.nowMs())
    await log.applyRetention()
    const collector = new Collector()
    const stop = log.subscribe(2, collector.take)
    await collector.until(1)
    stop()
    expect(seqs(collector)).toEqual([5])
  })

  it('follows again after a restart', async () => {
    const folder = await temporaryFolder()
    const first = await openTestLog({ folder })
    for (let i = 0; i < 3; i++) first.log.append(outcome())
    await first.log.close()
    const { log } = await openTestLog({ folder })
    const collector = new Collector()
    const stop = log.subscribe(2, collector.take)
    await collector.until(2)
    log.append(outcome())
    await log.flush()
    await collector.until(3)
    stop()
    expect(seqs(collector)).toEqual([2, 3, 4])
  })

  it('ends with the log, after the batch that is running', async () => {
    const { log } = await openTestLog()
    let finished = false
    let begun = (): void => undefined
    const started = new Promise<void>((resolve) => {
      begun = resolve
    })
    log.subscribe(1, async () => {
      begun()
      for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
      finished = true
    })
    await log.whenDurable(log.append(outcome()))
    await started
    await log.close()
    expect(finished).toBe(true)
    expect(() => log.subscribe(1, async () => undefined)).toThrow(expect.objectContaining({ code: 'LOG_CLOSED' }))
  })
})
