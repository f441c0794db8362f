// The stored format, version 1. The fixture was written by the first release of the log (with a commit emptied and payloads
// taken away by retention) and its checksums were verified with Python's zlib. It is loaded for ever: never regenerate it.
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { outcome } from '../../test/contract/prediction-log.js'
import { openTestLog, temporaryFolder } from '../../test/support/log.js'
import { findPrediction } from './find.js'
import { queryLog } from './query.js'
import { readRecords } from './read.js'
import type { StoredRecord } from './types.js'

const FIXTURES = fileURLToPath(new URL('../../test/fixtures/log/', import.meta.url))
const FOLDER = join(FIXTURES, 'v1')

async function recordsIn(folder: string): Promise<StoredRecord[]> {
  const found: StoredRecord[] = []
  const onDamage = (damage: unknown): never => expect.fail(JSON.stringify(damage))
  for await (const record of readRecords(folder, { onDamage })) found.push(record)
  return found
}

describe('a log written by version 1 of the format', () => {
  it('reads as the records it was written from', async () => {
    const expected: unknown = JSON.parse(await readFile(join(FIXTURES, 'v1.expected.json'), 'utf8'))
    expect(await recordsIn(FOLDER)).toEqual(expected)
  })

  it('can be continued', async () => {
    const folder = await temporaryFolder()
    await cp(FOLDER, folder, { recursive: true })
    const { log } = await openTestLog({ folder })
    expect(log.append(outcome())).toBe(21)
    await log.flush()
    expect((await recordsIn(folder)).map((record) => record.seq)).toEqual([
      ...(await recordsIn(FOLDER)).map((record) => record.seq),
      21,
    ])
  })

  it('can be searched and queried', async () => {
    expect(await findPrediction(FOLDER, '019b76da-a800-744a-8560-a6bf40f08c09')).toMatchObject({
      prediction: { seq: 1 },
      calls: [{ seq: 12 }],
      outcomes: [{ seq: 13 }, { seq: 14 }, { seq: 15 }],
    })
    const counts = `SELECT (SELECT count(*) FROM predictions), (SELECT count(payload) FROM predictions),
      (SELECT count(*) FROM calls WHERE late), (SELECT sum(number) FROM outcomes), (SELECT count(*) FROM decisions)`
    expect((await queryLog(FOLDER, counts)).rows).toEqual([[14, 6, 1, 13.5, 1]])
  })
})

describe('features as served, since they are in the log', () => {
  it('read as they were written: groups, rows that differ, and names whose values may not be kept', async () => {
    const expected: unknown = JSON.parse(await readFile(join(FIXTURES, 'v1-served.expected.json'), 'utf8'))
    expect(await recordsIn(join(FIXTURES, 'v1-served'))).toEqual(expected)
  })
})
