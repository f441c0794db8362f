import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decision, lateCall, outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { diskError, FaultyFiles, openTestLog, temporaryFolder } from '../../test/support/log.js'
import { queryLog } from './query.js'
import { readRecords } from './read.js'
import { segmentName } from './segment.js'
import type { LogPolicy, StoredRecord } from './types.js'

const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS

const POLICIES: Record<string, LogPolicy> = {
  brief: { payloadSample: 1, redact: [], retentionDays: 2, payloadRetentionDays: 1 },
  long: { payloadSample: 1, redact: [], retentionDays: 40, payloadRetentionDays: 5 },
  forever: { payloadSample: 1, redact: [], retentionDays: undefined },
}

const options = { segmentHours: 1, policy: (endpoint: string) => POLICIES[endpoint]! }

async function recordsIn(folder: string): Promise<StoredRecord[]> {
  const found: StoredRecord[] = []
  const onDamage = (damage: unknown): never => expect.fail(JSON.stringify(damage))
  for await (const record of readRecords(folder, { onDamage })) found.push(record)
  return found
}

const shape = (records: StoredRecord[]): string[] =>
  records.map((record) => {
    const payload = 'payload' in record ? (record.payload ? ' payload' : ` ${record.payloadDropped}`) : ''
    return `${record.seq} ${record.kind}${payload}`
  })

/** One sealed segment with records of three endpoints in several commits, and a newest one. */
async function withSealedSegment(files?: FaultyFiles): Promise<Awaited<ReturnType<typeof openTestLog>>> {
  const opened = await openTestLog(files ? { ...options, files } : options)
  const { log, clock } = opened
  const timeMs = clock.nowMs()
  for (const endpoint of Object.keys(POLICIES)) {
    log.append(prediction({ endpoint, timeMs, payload: payload() }))
    log.append(lateCall({ endpoint, timeMs, payload: payload() }))
    log.append(outcome({ endpoint, timeMs, value: 'has ,"payload":{ in its text' }))
    await log.flush()
  }
  log.append(decision({ timeMs }))
  await log.flush()
  clock.advance(HOUR_MS)
  log.append(outcome({ endpoint: 'forever', timeMs: clock.nowMs() }))
  await log.flush()
  return opened
}

describe('retention', () => {
  it('removes payloads first, then records, each when its endpoint says so, and keeps positions', async () => {
    const { log, clock } = await withSealedSegment()
    const original = await recordsIn(log.folder)
    const none = { removedSegments: 0, rewrittenSegments: 0, removedRecords: 0, removedPayloads: 0 }
    expect(await log.applyRetention()).toEqual(none)

    clock.advance(DAY_MS)
    expect(await log.applyRetention()).toEqual({ ...none, rewrittenSegments: 1, removedPayloads: 2 })
    expect(shape(await recordsIn(log.folder))).toEqual([
      '1 prediction retention',
      '2 call retention',
      '3 outcome',
      '4 prediction payload',
      '5 call payload',
      '6 outcome',
      '7 prediction payload',
      '8 call payload',
      '9 outcome',
      '10 decision',
      '11 outcome',
    ])
    expect(await log.applyRetention()).toEqual(none)

    clock.advance(DAY_MS)
    expect(await log.applyRetention()).toEqual({ ...none, rewrittenSegments: 1, removedRecords: 3 })
    clock.advance(29 * DAY_MS)
    expect(await log.applyRetention()).toEqual({ ...none, rewrittenSegments: 1, removedRecords: 1, removedPayloads: 2 })
    expect(shape(await recordsIn(log.folder))).toEqual([
      '4 prediction retention',
      '5 call retention',
      '6 outcome',
      '7 prediction payload',
      '8 call payload',
      '9 outcome',
      '11 outcome',
    ])
    expect((await recordsIn(log.folder)).slice(3)).toEqual(original.slice(6).filter(({ seq }) => seq !== 10))
    // The newest was sealed by the passes, as it got no more records.
    expect(await readdir(log.folder)).toEqual([1, 11, 12].map(segmentName))
  })

  it('deletes a segment that is left empty, but never the newest, so that positions go on', async () => {
    const { log, clock } = await openTestLog(options)
    const { folder } = log
    log.append(outcome({ endpoint: 'brief', timeMs: clock.nowMs() }))
    await log.flush()
    clock.advance(3 * DAY_MS)
    // Nothing was written since: the segment is sealed by the pass itself.
    expect(await log.applyRetention()).toMatchObject({ removedSegments: 1, removedRecords: 1 })
    expect(await readdir(folder)).toEqual([segmentName(2)])
    await log.close()
    const reopened = await openTestLog({ ...options, folder })
    expect(reopened.log.append(outcome({ endpoint: 'brief' }))).toBe(2)
  })

  it('states the end of a segment whose last records are gone', async () => {
    const { log, clock } = await openTestLog(options)
    log.append(outcome({ endpoint: 'forever', timeMs: clock.nowMs() }))
    await log.flush()
    log.append(outcome({ endpoint: 'brief', timeMs: clock.nowMs() }))
    await log.flush()
    clock.advance(3 * DAY_MS)
    expect(await log.applyRetention()).toMatchObject({ rewrittenSegments: 1, removedRecords: 1 })
    const text = await readFile(join(log.folder, segmentName(1)), 'utf8')
    expect(text.trim().split('\n').at(-1)).toContain('{"seq":2,"kind":"commit","bytes":0,')
    expect(shape(await recordsIn(log.folder))).toEqual(['1 outcome'])
    expect((await queryLog(log.folder, 'SELECT count(*) FROM outcomes')).rows).toEqual([[1]])
  })

  it('runs by itself, a minute after opening and then every hour', async () => {
    const { log, clock } = await openTestLog({ ...options, hasJanitor: true })
    log.append(outcome({ endpoint: 'brief', timeMs: clock.nowMs() - 3 * DAY_MS }))
    log.append(outcome({ endpoint: 'forever', timeMs: clock.nowMs() }))
    await log.flush()
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    clock.advance(60_000)
    for (let i = 0; i < 20; i++) await turn()
    expect(await recordsIn(log.folder)).toHaveLength(2)
    // An hour later the segment is old enough to be sealed, so that there is something to do.
    clock.advance(HOUR_MS)
    while ((await recordsIn(log.folder)).length === 2) await turn()
    expect(shape(await recordsIn(log.folder))).toEqual(['2 outcome'])
  })

  it('leaves the old segment whole when the disk fails, and does it in the next pass', async () => {
    for (const broken of ['open', 'write', 'datasync', 'rename'] as const) {
      const files = new FaultyFiles()
      const { log, clock } = await withSealedSegment(files)
      const before = await recordsIn(log.folder)
      clock.advance(3 * DAY_MS)
      files.fail = (operation, name) =>
        operation === broken && name.startsWith(segmentName(1)) ? diskError('ENOSPC') : undefined
      expect(await log.applyRetention()).toMatchObject({ rewrittenSegments: 0 })
      expect(await recordsIn(log.folder)).toEqual(before)
      files.fail = () => undefined
      expect(await log.applyRetention()).toMatchObject({ rewrittenSegments: 1, removedRecords: 3 })
      expect((await recordsIn(log.folder))[0]).toMatchObject({ seq: 4 })
      expect((await readdir(log.folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
    }
  })

  it('does not rewrite a damaged segment, and removes it when all that can be read has expired', async () => {
    const folder = await temporaryFolder()
    const first = await openTestLog({ ...options, folder })
    for (let i = 0; i < 3; i++) {
      first.log.append(prediction({ endpoint: 'brief', timeMs: first.clock.nowMs(), payload: payload() }))
      await first.log.flush()
    }
    await first.log.close()
    const path = join(folder, segmentName(1))
    const bytes = await readFile(path)
    bytes[20]! ^= 1
    await writeFile(path, bytes)
    await writeFile(join(folder, segmentName(4)), '')

    const { log, clock } = await openTestLog({ ...options, folder })
    clock.advance(1.5 * DAY_MS)
    expect(await log.applyRetention()).toMatchObject({ rewrittenSegments: 0 })
    expect(await readFile(path)).toEqual(bytes)
    clock.advance(DAY_MS)
    expect(await log.applyRetention()).toMatchObject({ removedSegments: 1 })
    expect(await readdir(folder)).toEqual([segmentName(4)])
  })

  it('keeps up with appends and readers that go on meanwhile', async () => {
    const { log, clock } = await withSealedSegment()
    clock.advance(3 * DAY_MS)
    const passes = Promise.all([log.applyRetention(), log.applyRetention()])
    for (let i = 0; i < 20; i++)
      await log.whenDurable(log.append(outcome({ endpoint: 'forever', timeMs: clock.nowMs() })))
    expect(await passes).toMatchObject([{ rewrittenSegments: 1 }, { rewrittenSegments: 0 }])
    expect((await recordsIn(log.folder)).map((record) => record.seq)).toEqual(
      Array.from({ length: 28 }, (_, i) => i + 4),
    )
  })
})
