import { copyFile, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { FaultyFiles, openTestLog, temporaryFolder } from '../../test/support/log.js'
import { readRecords } from './read.js'
import { segmentName } from './segment.js'
import type { StoredRecord } from './types.js'

const SEGMENT = segmentName(1)

/** A segment of several commits, and where each of them ends. */
async function writtenSegment(): Promise<{ bytes: Buffer; commits: { end: number; lastSeq: number }[] }> {
  const { log } = await openTestLog()
  const path = join(log.folder, SEGMENT)
  const commits: { end: number; lastSeq: number }[] = []
  for (let commit = 0; commit < 5; commit++) {
    for (let i = 0; i <= commit; i++) log.append(prediction({ id: `${commit}-${i}`, payload: payload() }))
    await log.flush()
    commits.push({ end: (await stat(path)).size, lastSeq: log.durableThrough() })
  }
  return { bytes: await readFile(path), commits }
}

async function positions(folder: string): Promise<number[]> {
  const found: number[] = []
  for await (const record of readRecords(folder)) found.push(record.seq)
  return found
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1)

/** Opens a log over the bytes, appends one record and returns all positions. */
async function reopenOver(bytes: Uint8Array): Promise<{ before: number[]; next: number; after: number[] }> {
  const folder = await temporaryFolder()
  await writeFile(join(folder, SEGMENT), bytes)
  const { log } = await openTestLog({ folder })
  const before = await positions(folder)
  expect(log.durableThrough()).toBe(before.at(-1) ?? 0)
  const next = log.append(outcome())
  await log.whenDurable(next)
  return { before, next, after: await positions(folder) }
}

describe('opening a log', () => {
  it('keeps every whole commit and nothing else when the newest segment is cut at any offset', async () => {
    const { bytes, commits } = await writtenSegment()
    const offsets = new Set<number>()
    for (const { end } of commits) for (let near = end - 3; near <= end + 3; near++) offsets.add(near)
    for (let offset = 0; offset <= bytes.length; offset += 307) offsets.add(offset)
    for (const offset of [...offsets].filter((at) => at >= 0 && at <= bytes.length)) {
      const survives = commits.filter(({ end }) => end <= offset).at(-1)?.lastSeq ?? 0
      const { before, next, after } = await reopenOver(bytes.subarray(0, offset))
      expect({ offset, before }).toEqual({ offset, before: upTo(survives) })
      expect(next).toBe(survives + 1)
      expect(after).toEqual(upTo(survives + 1))
    }
  })

  it('keeps every whole commit and nothing else when the last commit has a wrong byte or a tail of noise', async () => {
    const { bytes, commits } = await writtenSegment()
    const [beforeLast, last] = commits.slice(-2)
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: beforeLast!.end, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        fc.uint8Array({ maxLength: 300 }),
        async (offset, change, noise) => {
          const broken = Buffer.concat([bytes, noise])
          broken[offset]! ^= change
          const { before, after } = await reopenOver(broken)
          expect(before).toEqual(upTo(beforeLast!.lastSeq))
          expect(after).toEqual(upTo(beforeLast!.lastSeq + 1))
          const { before: withNoise } = await reopenOver(Buffer.concat([bytes, noise]))
          expect(withNoise).toEqual(upTo(last!.lastSeq))
        },
      ),
      { numRuns: 25 },
    )
  })

  it('loses only the block that is damaged when there are whole ones behind it, and cuts nothing off', async () => {
    const { bytes, commits } = await writtenSegment()
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: commits.at(-2)!.end - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (offset, change) => {
          const broken = Buffer.from(bytes)
          broken[offset]! ^= change
          const hit = commits.findIndex(({ end }) => offset < end)
          const first = (commits[hit - 1]?.lastSeq ?? 0) + 1
          const survive = upTo(commits.at(-1)!.lastSeq).filter((seq) => seq < first || seq > commits[hit]!.lastSeq)
          const { before, after } = await reopenOver(broken)
          expect(before).toEqual(survive)
          expect(after).toEqual([...survive, commits.at(-1)!.lastSeq + 1])
        },
      ),
      { numRuns: 25 },
    )
  })

  it('counts what it cut off and what is damaged', async () => {
    const { bytes, commits } = await writtenSegment()
    const folder = await temporaryFolder()
    const torn = Buffer.concat([bytes, Buffer.from('{"seq":')])
    torn[commits[0]!.end + 10]! ^= 1
    await writeFile(join(folder, SEGMENT), torn)
    const { platform } = await openTestLog({ folder })
    const metrics = await platform.metrics.expose()
    expect(metrics).toContain('ml_log_trimmed_bytes_total 7\n')
    expect(metrics).toContain(`ml_log_damaged_bytes_total ${commits[1]!.end - commits[0]!.end}\n`)
  })

  it('starts at 1 in a folder that is missing, and makes it', async () => {
    const folder = join(await temporaryFolder(), 'a', 'b')
    const { log } = await openTestLog({ folder })
    expect(log.durableThrough()).toBe(0)
    expect(log.append(outcome())).toBe(1)
    await log.flush()
    expect(await positions(folder)).toEqual([1])
  })

  it('continues where the name of an empty newest segment says', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, segmentName(42)), '')
    const { log } = await openTestLog({ folder })
    expect(log.durableThrough()).toBe(41)
    expect(log.append(outcome())).toBe(42)
    await log.flush()
    expect(await readdir(folder)).toEqual([segmentName(42)])
  })

  it('continues the newest segment across many reopenings', async () => {
    const folder = await temporaryFolder()
    for (let i = 1; i <= 5; i++) {
      const { log } = await openTestLog({ folder })
      expect(log.append(outcome())).toBe(i)
      await log.close()
    }
    expect(await readdir(folder)).toEqual([SEGMENT])
    expect(await positions(folder)).toEqual([1, 2, 3, 4, 5])
  })

  it('removes a segment that was never finished, and leaves files of others alone', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, `${SEGMENT}.tmp`), 'half')
    await writeFile(join(folder, 'notes.txt'), 'mine')
    await openTestLog({ folder })
    expect(await readdir(folder)).toEqual(['notes.txt'])
  })

  it('does not touch an older segment that fails its checksum, and reads what is whole in it', async () => {
    const { bytes, commits } = await writtenSegment()
    const folder = await temporaryFolder()
    const torn = bytes.subarray(0, commits[2]!.end + 20)
    await writeFile(join(folder, SEGMENT), torn)
    await writeFile(join(folder, segmentName(100)), '')
    const { log } = await openTestLog({ folder })
    log.append(outcome())
    await log.flush()
    const damages: unknown[] = []
    const found: StoredRecord[] = []
    for await (const record of readRecords(folder, { onDamage: (damage) => damages.push(damage) })) found.push(record)
    expect(found.map((record) => record.seq)).toEqual([...upTo(commits[2]!.lastSeq), 100])
    expect(damages).toEqual([{ segment: SEGMENT, offset: commits[2]!.end, sizeBytes: 20 }])
    expect(await readFile(join(folder, SEGMENT))).toEqual(torn)
  })

  it('says which folder it cannot open, and why', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), '')
    await expect(openTestLog({ folder: join(folder, 'file') })).rejects.toMatchObject({ code: 'LOG_OPEN_FAILED' })
  })

  it('reads a block far larger than what it reads at once', async () => {
    const folder = await temporaryFolder()
    const { log } = await openTestLog({ folder })
    const raw = `[{"name":"x","datatype":"BYTES","shape":[1],"data":["${'x'.repeat(900_000)}"]}]`
    for (let i = 0; i < 3; i++) log.append(prediction({ payload: payload({ rawInputs: raw }) }))
    await log.flush()
    expect(await positions(folder)).toEqual([1, 2, 3])
    const copy = join(await temporaryFolder(), 'copy')
    await mkdir(copy)
    await copyFile(join(folder, SEGMENT), join(copy, SEGMENT))
    await truncate(join(copy, SEGMENT), 2_000_000)
    expect(await positions(copy)).toEqual([])
  })

  it('reads bytes again before it calls them damaged', async () => {
    const { log } = await openTestLog()
    for (let i = 0; i < 3; i++) await log.whenDurable(log.append(prediction({ payload: payload() })))
    const files = new FaultyFiles()
    let reads = 0
    files.spoil = (bytes) => {
      if (reads++ === 0) bytes.fill(0, 100, 200)
    }
    const found: number[] = []
    const onDamage = (): never => expect.fail('nothing is damaged')
    for await (const record of readRecords(log.folder, { files, onDamage })) found.push(record.seq)
    expect(found).toEqual([1, 2, 3])
    expect(reads).toBeGreaterThan(1)
  })

  it('is not fooled by a payload that looks like a commit line', async () => {
    const raw =
      '[{"name":"x","datatype":"BYTES","shape":[1],"data":["a"],\n"seq":1,"kind":"commit","bytes":5,"timeMs":1,"crc":"00000000"}]'
    const folder = await temporaryFolder()
    const { log } = await openTestLog({ folder })
    for (let i = 0; i < 3; i++) log.append(prediction({ payload: payload({ rawInputs: raw }) }))
    await log.flush()
    expect(await positions(folder)).toEqual([1, 2, 3])
  })
})
