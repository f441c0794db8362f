import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { diskError, FaultyFiles, openTestLog, temporaryFolder } from '../../test/support/log.js'
import { createLogger, type ManualClock } from '../core/index.js'
import { queryLog } from './query.js'
import { readRecords } from './read.js'
import { segmentName } from './segment.js'
import type { StoredPrediction, StoredRecord } from './types.js'

const SEGMENT = segmentName(1)

async function recordsIn(folder: string): Promise<StoredRecord[]> {
  const found: StoredRecord[] = []
  for await (const record of readRecords(folder)) found.push(record)
  return found
}

const positionsIn = async (folder: string): Promise<number[]> => (await recordsIn(folder)).map((record) => record.seq)

/** Turns of the event loop, for what must not happen without time passing. */
async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets time pass, a tenth of a second each turn, until `isTrue`. */
async function until(isTrue: () => boolean, clock?: ManualClock): Promise<void> {
  while (!isTrue()) {
    clock?.advance(100)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('group commit', () => {
  it('writes and syncs once for all records of an interval, and not before it is over', async () => {
    const files = new FaultyFiles()
    const { log, clock } = await openTestLog({ files, commitIntervalMs: 50 })
    for (let i = 0; i < 100; i++) log.append(outcome())
    clock.advance(49)
    await turns()
    expect(log.durableThrough()).toBe(0)
    clock.advance(1)
    await until(() => log.durableThrough() === 100)
    expect(files.done.filter((line) => line.startsWith('write'))).toEqual([`write ${SEGMENT}`])
    expect(files.done.filter((line) => line.startsWith('datasync'))).toEqual([`datasync ${SEGMENT}`])
  })

  it('does not wait for the interval when somebody waits, and shares the commit of one turn', async () => {
    const files = new FaultyFiles()
    const { log } = await openTestLog({ files })
    await Promise.all(Array.from({ length: 50 }, () => log.whenDurable(log.append(outcome()))))
    expect(log.durableThrough()).toBe(50)
    expect(files.done.filter((line) => line.startsWith('datasync'))).toHaveLength(1)
  })

  it('does not wait for the interval when the buffer is half full', async () => {
    const { log } = await openTestLog({ bufferBytes: 64 * 1024 })
    const lineBytes = 500
    for (let i = 0; i < 10_000 / lineBytes; i++) log.append(prediction())
    await turns()
    expect(log.durableThrough()).toBe(0)
    for (let i = 0; i < 10_000 / lineBytes; i++) log.append(prediction())
    await until(() => log.durableThrough() > 0)
  })

  it('makes the first record of a new file durable only after the folder is synced too', async () => {
    const files = new FaultyFiles()
    const { log } = await openTestLog({ files })
    await log.whenDurable(log.append(outcome()))
    const created = files.done.indexOf(`rename ${SEGMENT}`)
    const synced = files.done.findIndex((line, i) => i > created && line.startsWith('syncFolder'))
    expect(created).toBeGreaterThanOrEqual(0)
    expect(synced).toBeGreaterThan(created)
  })

  it('finishes writes that take only part of the bytes', async () => {
    const files = new FaultyFiles()
    files.writeBytes = 100
    const { log } = await openTestLog({ files })
    for (let i = 0; i < 5; i++) log.append(prediction())
    await log.flush()
    expect(await positionsIn(log.folder)).toEqual([1, 2, 3, 4, 5])
  })

  it('starts a new segment when the present one is full, and when it is old', async () => {
    const { log, clock } = await openTestLog({ segmentBytes: 64 * 1024, segmentHours: 1 })
    const raw = `[{"name":"x","datatype":"BYTES","shape":[1],"data":["${'x'.repeat(40_000)}"]}]`
    for (let i = 0; i < 3; i++) await log.whenDurable(log.append(prediction({ payload: payload({ rawInputs: raw }) })))
    expect(await readdir(log.folder)).toEqual([1, 2, 3].map(segmentName))
    clock.advance(59 * 60_000)
    await log.whenDurable(log.append(outcome()))
    expect(await readdir(log.folder)).toHaveLength(3)
    clock.advance(60_000)
    await log.whenDurable(log.append(outcome()))
    expect(await readdir(log.folder)).toEqual([1, 2, 3, 5].map(segmentName))
    expect(await positionsIn(log.folder)).toEqual([1, 2, 3, 4, 5])
  })

  it('writes everything on close, drops and counts what comes later, and tells who waits', async () => {
    const { log, platform } = await openTestLog()
    for (let i = 0; i < 10; i++) log.append(outcome())
    await log.close()
    expect(await positionsIn(log.folder)).toHaveLength(10)
    expect(log.append(outcome())).toBe(0)
    await expect(log.whenDurable(11)).rejects.toMatchObject({ code: 'LOG_CLOSED' })
    expect(await platform.metrics.expose()).toContain('ml_log_dropped_total{part="record"} 1')
  })
})

describe('a full buffer', () => {
  it('drops payloads first, then records, counts both, and takes everything again when there is room', async () => {
    const files = new FaultyFiles()
    let release = (): void => undefined
    const { log, platform } = await openTestLog({ files, bufferBytes: 128 * 1024 })
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    files.wait = (operation) => (operation === 'datasync' ? gate : undefined)
    log.append(outcome())
    const first = log.flush()
    await turns()

    // One slab is with the disk; this is the other.
    const raw = `[{"name":"x","datatype":"BYTES","shape":[1],"data":["${'x'.repeat(2_000)}"]}]`
    const appended = Array.from({ length: 200 }, () => log.append(prediction({ payload: payload({ rawInputs: raw }) })))
    const dropped = appended.filter((position) => position === 0).length
    expect(dropped).toBeGreaterThan(0)
    expect(appended.indexOf(0)).toBe(200 - dropped)
    release()
    await first
    await log.flush()

    const records = (await recordsIn(log.folder)).slice(1) as StoredPrediction[]
    expect(records.map((record) => record.seq)).toEqual(appended.filter((position) => position > 0))
    const withPayload = records.filter((record) => record.payload)
    const without = records.filter((record) => record.payload === null && record.payloadDropped === 'pressure')
    expect(withPayload.length + without.length).toBe(records.length)
    expect(withPayload.length).toBeGreaterThan(10)
    expect(without.length).toBeGreaterThan(10)
    // Payloads stop at three quarters of the slab, headers at its end.
    expect(without[0]!.seq).toBe(withPayload.at(-1)!.seq + 1)
    const metrics = await platform.metrics.expose()
    expect(metrics).toContain(`ml_log_dropped_total{part="payload"} ${without.length}`)
    expect(metrics).toContain(`ml_log_dropped_total{part="record"} ${dropped}`)

    const later = log.append(prediction({ payload: payload({ rawInputs: raw }) }))
    await log.whenDurable(later)
    expect((await recordsIn(log.folder)).at(-1)).toMatchObject({ seq: later, payload: { weight: 1 } })
  })

  it('drops a payload above the size limit, raw or not, and keeps its header', async () => {
    const { log, platform } = await openTestLog({ maxPayloadBytes: 1000 })
    const raw = `[{"name":"x","datatype":"BYTES","shape":[1],"data":["${'x'.repeat(1_000)}"]}]`
    const matrix = { name: 'x', datatype: 'FP64' as const, shape: [1, 200], data: new Float64Array(200).fill(1 / 3) }
    log.append(prediction({ payload: payload({ rawInputs: raw }) }))
    log.append(prediction({ payload: payload({ inputs: new Map([['x', matrix]]) }) }))
    log.append(prediction({ payload: payload() }))
    await log.flush()
    const records = await recordsIn(log.folder)
    expect(records.slice(0, 2)).toMatchObject(Array(2).fill({ payload: null, payloadDropped: 'size' }))
    expect(records[2]).toMatchObject({ payload: { weight: 1 } })
    expect(await platform.metrics.expose()).toContain('ml_log_dropped_total{part="payload"} 2')
  })

  it('does not encode tensors that would hold up the event loop', async () => {
    const { log } = await openTestLog()
    const data = new Float64Array(1_000_000)
    const inputs = new Map([['x', { name: 'x', datatype: 'FP64' as const, shape: [1000, 1000], data }]])
    log.append(prediction({ payload: payload({ inputs }) }))
    await log.flush()
    expect((await recordsIn(log.folder))[0]).toMatchObject({ payload: null, payloadDropped: 'size' })
  })

  it('drops and counts a record that breaks its type, without harm to its neighbours', async () => {
    const { log, platform } = await openTestLog()
    expect(log.append(outcome())).toBe(1)
    expect(log.append({ ...prediction(), calls: undefined } as never)).toBe(0)
    expect(log.append(prediction({ payload: { inputs: undefined, outputs: [] } as never }))).toBe(0)
    expect(log.append(outcome())).toBe(2)
    await log.flush()
    expect(await positionsIn(log.folder)).toEqual([1, 2])
    expect(await platform.metrics.expose()).toContain('ml_log_dropped_total{part="record"} 2')
  })
})

describe('a failing disk', () => {
  it('tells who waits, keeps the records, and writes them to a new segment when it works again', async () => {
    const files = new FaultyFiles()
    const lines: string[] = []
    const logger = createLogger({ destination: { write: (line: string) => void lines.push(line) } })
    const { log, clock, platform } = await openTestLog({ files, platform: { logger } as never })
    await log.whenDurable(log.append(outcome({ id: 'before' })))

    let failures = 0
    files.fail = (operation) => {
      if (operation !== 'write') return undefined
      failures++
      return diskError('ENOSPC')
    }
    const position = log.append(outcome({ id: 'during' }))
    const failure = { code: 'LOG_WRITE_FAILED', params: { reason: 'ENOSPC: the disk says no' } }
    await expect(log.whenDurable(position)).rejects.toMatchObject(failure)
    expect(log.durableThrough()).toBe(1)
    await until(() => failures === 4, clock)
    await expect(log.whenDurable(log.append(outcome({ id: 'later' })))).rejects.toMatchObject(failure)
    expect(log.durableThrough()).toBe(1)

    files.fail = () => undefined
    await until(() => log.durableThrough() === 3, clock)
    expect((await recordsIn(log.folder)).map((record) => record.id)).toEqual(['before', 'during', 'later'])
    expect(await readdir(log.folder)).toEqual([1, 2].map(segmentName))
    const states = lines.filter((line) => /cannot be written|is written again/.test(line))
    expect(states).toHaveLength(2)
    expect(await platform.metrics.expose()).toContain(`ml_log_write_failures_total ${failures}\n`)
  })

  it('never writes to a file again after its sync failed', async () => {
    const files = new FaultyFiles()
    const { log, clock } = await openTestLog({ files })
    await log.whenDurable(log.append(outcome()))
    files.done.length = 0
    files.fail = (operation, name) => (operation === 'datasync' && name === SEGMENT ? diskError('EIO') : undefined)
    await expect(log.whenDurable(log.append(outcome()))).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    await until(() => log.durableThrough() === 2, clock)
    expect(files.done.filter((line) => line === `write ${SEGMENT}`)).toHaveLength(1)
    expect(files.done).toContain(`write ${segmentName(2)}`)
    expect(await positionsIn(log.folder)).toEqual([1, 2])
  })

  it('replaces a segment whose very first block failed', async () => {
    const files = new FaultyFiles()
    files.writeBytes = 100
    let writes = 0
    files.fail = (operation) => (operation === 'write' && ++writes === 3 ? diskError('ENOSPC') : undefined)
    const { log, clock } = await openTestLog({ files })
    const followed: number[] = []
    const stop = log.subscribe(1, async (batch) => {
      followed.push(...batch.map((record) => record.seq))
    })
    await expect(log.whenDurable(log.append(outcome()))).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    await until(() => followed.length === 1, clock)
    stop()
    expect(await readdir(log.folder)).toEqual([SEGMENT])
    expect(await positionsIn(log.folder)).toEqual([1])
  })

  it('counts a record once when the failed block could not be cut off, for readers and in SQL', async () => {
    const files = new FaultyFiles()
    const { log, clock } = await openTestLog({ files })
    await log.whenDurable(log.append(outcome()))
    files.fail = (operation, name) =>
      (operation === 'datasync' || operation === 'truncate') && name === SEGMENT ? diskError('EIO') : undefined
    await expect(log.whenDurable(log.append(outcome()))).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    await until(() => log.durableThrough() === 2, clock)
    expect((await readFile(join(log.folder, SEGMENT), 'utf8')).match(/"kind":"outcome"/g)).toHaveLength(2)
    expect(await positionsIn(log.folder)).toEqual([1, 2])
    const { rows } = await queryLog(log.folder, 'SELECT seq FROM outcomes ORDER BY seq')
    expect(rows).toEqual([[1], [2]])
  })

  it('drops and counts when the buffer is full, and survives to take new records', async () => {
    const files = new FaultyFiles()
    const { log, clock, platform } = await openTestLog({ files, bufferBytes: 64 * 1024 })
    files.fail = (operation) => (operation === 'datasync' ? diskError('EIO') : undefined)
    const appended: number[] = []
    for (let i = 0; i < 500; i++) {
      appended.push(log.append(prediction({ id: `p${i}` })))
      if (i % 20 === 0) await turns(3)
    }
    const kept = appended.filter((position) => position > 0)
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => i + 1))
    expect(await platform.metrics.expose()).toContain(`ml_log_dropped_total{part="record"} ${500 - kept.length}`)
    files.fail = () => undefined
    await until(() => log.durableThrough() === kept.length, clock)
    expect(log.append(prediction())).toBe(kept.length + 1)
    await log.flush()
    expect(await positionsIn(log.folder)).toEqual([...kept, kept.length + 1])
  })

  it('tries once more on close, then says what was lost', async () => {
    const files = new FaultyFiles()
    const { log, platform } = await openTestLog({ files })
    files.fail = (operation) => (operation === 'write' ? diskError('ENOSPC') : undefined)
    log.append(outcome())
    await expect(log.flush()).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    log.append(outcome())
    await log.close()
    expect(await platform.metrics.expose()).toContain('ml_log_dropped_total{part="record"} 2')
    await expect(log.whenDurable(2)).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
  })

  it('saves everything on close when the disk works again', async () => {
    const files = new FaultyFiles()
    const { log } = await openTestLog({ files })
    files.fail = (operation) => (operation === 'write' ? diskError('ENOSPC') : undefined)
    log.append(outcome())
    await expect(log.flush()).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    log.append(outcome())
    files.fail = () => undefined
    await log.close()
    expect(await positionsIn(log.folder)).toEqual([1, 2])
  })

  it('does not give positions out again after a crash between a failed first block and its repetition', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, segmentName(7)), '{"seq":7,"kind":"outcome"')
    const { log } = await openTestLog({ folder })
    expect(log.append(outcome())).toBe(7)
  })
})
