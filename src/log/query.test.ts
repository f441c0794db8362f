import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decision, lateCall, outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { openTestLog, temporaryFolder } from '../../test/support/log.js'
import { queryLog } from './query.js'
import { segmentName } from './segment.js'

const TIME_MS = Date.UTC(2026, 0, 1, 10, 20, 30, 456)

/** A folder with a bit of everything in two segments. */
async function filledFolder(): Promise<string> {
  const { log, clock } = await openTestLog({ segmentHours: 1 })
  log.append(prediction({ id: 'p1', timeMs: TIME_MS, payload: payload(), cost: 0.25 }))
  const failed = { ...prediction().calls[0]!, status: 'SERVING_FAILED' }
  const answered = { ...prediction().calls[0]!, leaf: 'fraud/1', version: 1, role: 'attempt' as const }
  const shadow = { ...prediction().calls[0]!, leaf: 'fraud/3', version: 3, role: 'shadow' as const }
  log.append(prediction({ id: 'p2', timeMs: TIME_MS + 1000, unit: null, calls: [failed, answered, shadow], flags: [] }))
  log.append(lateCall({ prediction: 'p1', timeMs: TIME_MS + 2000 }))
  await log.flush()
  clock.advance(2 * 60 * 60_000)
  log.append(prediction({ id: 'p3', endpoint: "o'clock", error: 'SERVING_QUEUE_FULL', calls: [], route: [] }))
  log.append(outcome({ id: 'o1', prediction: 'p1', value: true, happenedMs: TIME_MS }))
  log.append(outcome({ id: 'o2', prediction: 'p1#7', name: 'amount', value: 12.5 }))
  log.append(outcome({ id: 'o3', prediction: 'p2', name: 'label', value: '12' }))
  log.append(decision({ timeMs: TIME_MS }))
  await log.close()
  expect(await readdir(log.folder)).toHaveLength(2)
  return log.folder
}

async function rows(folder: string, sql: string): Promise<readonly (readonly unknown[])[]> {
  return (await queryLog(folder, sql)).rows
}

describe('queryLog', () => {
  it('gives a row for each prediction with typed header columns', async () => {
    const folder = await filledFolder()
    const { columns, rows: found } = await queryLog(folder, 'SELECT * FROM predictions ORDER BY seq')
    expect(columns).toMatchObject([
      { name: 'seq', type: 'BIGINT' },
      { name: 'id', type: 'VARCHAR' },
      { name: 'time', type: 'TIMESTAMP' },
      { name: 'endpoint', type: 'VARCHAR' },
      { name: 'tenant', type: 'VARCHAR' },
      { name: 'unit', type: 'VARCHAR' },
      { name: 'rows', type: 'BIGINT' },
      { name: 'protocol', type: 'VARCHAR' },
      { name: 'model', type: 'VARCHAR' },
      { name: 'version', type: 'INTEGER' },
      { name: 'latency_ms', type: 'DOUBLE' },
      { name: 'route' },
      { name: 'calls' },
      { name: 'flags', type: 'VARCHAR[]' },
      { name: 'admit_ms', type: 'DOUBLE' },
      { name: 'features_ms', type: 'DOUBLE' },
      { name: 'route_ms', type: 'DOUBLE' },
      { name: 'shape_ms', type: 'DOUBLE' },
      { name: 'cost', type: 'DOUBLE' },
      { name: 'trace_id', type: 'VARCHAR' },
      { name: 'error', type: 'VARCHAR' },
      { name: 'weight', type: 'DOUBLE' },
      { name: 'payload', type: 'JSON' },
      { name: 'payload_dropped', type: 'VARCHAR' },
      { name: 'served', type: 'JSON' },
    ])
    const record = Object.fromEntries(columns.map(({ name }, i) => [name, found[0]![i]]))
    expect(record).toMatchObject({
      seq: 1,
      id: 'p1',
      time: '2026-01-01T10:20:30.456Z',
      endpoint: 'fraud',
      unit: 'user-1',
      rows: 1,
      model: 'fraud',
      version: 2,
      latency_ms: 1.687,
      route: [{ node: 'split', arm: 'champion', probability: 0.9 }],
      calls: [{ leaf: 'fraud/2', version: 2, latencyMs: 1.25, batchRows: 4 }],
      flags: ['fallback'],
      route_ms: 1.5,
      cost: 0.25,
      error: null,
      weight: 1,
    })
    expect(JSON.parse(String(record['payload']))).toMatchObject({ inputs: [{ name: 'x', data: [1, 2.5, 'NaN'] }] })
    expect(found).toHaveLength(3)
  })

  it('names the version that answered, past a failed call and a shadow', async () => {
    const folder = await filledFolder()
    expect(await rows(folder, 'SELECT id, version, error FROM predictions ORDER BY seq')).toEqual([
      ['p1', 2, null],
      ['p2', 1, null],
      ['p3', null, 'SERVING_QUEUE_FULL'],
    ])
  })

  it('gives a row for each call, late ones too', async () => {
    const folder = await filledFolder()
    const sql = 'SELECT prediction, leaf, version, role, status, latency_ms, late FROM calls ORDER BY seq, leaf'
    expect(await rows(folder, sql)).toEqual([
      ['p1', 'fraud/2', 2, 'primary', 'ok', 1.25, false],
      ['p2', 'fraud/1', 1, 'attempt', 'ok', 1.25, false],
      ['p2', 'fraud/2', 2, 'primary', 'SERVING_FAILED', 1.25, false],
      ['p2', 'fraud/3', 3, 'shadow', 'ok', 1.25, false],
      ['p1', 'fraud/3', 3, 'shadow', 'ok', 1.25, true],
    ])
  })

  it('gives outcomes with their row and number, which join to predictions', async () => {
    const folder = await filledFolder()
    expect(
      await rows(folder, 'SELECT prediction, "row", name, value, number, happened FROM outcomes ORDER BY seq'),
    ).toEqual([
      ['p1', null, 'is_fraud', 'true', 1, '2026-01-01T10:20:30.456Z'],
      ['p1', 7, 'amount', '12.5', 12.5, '2026-01-01T12:00:00Z'],
      ['p2', null, 'label', '12', null, '2026-01-01T12:00:00Z'],
    ])
    const joined =
      'SELECT p.id, count(o.id) FROM predictions p LEFT JOIN outcomes o ON o.prediction = p.id GROUP BY 1 ORDER BY 1'
    expect(await rows(folder, joined)).toEqual([
      ['p1', 2],
      ['p2', 1],
      ['p3', 0],
    ])
  })

  it('gives decisions, and every record as it stands', async () => {
    const folder = await filledFolder()
    expect(await rows(folder, 'SELECT time, change, subject, "by" FROM decisions')).toEqual([
      ['2026-01-01T10:20:30.456Z', 'alias.set', 'fraud/champion', 'person ada'],
    ])
    const kinds = await rows(folder, 'SELECT kind, count(*) FROM records GROUP BY ALL ORDER BY ALL')
    expect(kinds).toEqual([
      ['call', 1],
      ['decision', 1],
      ['outcome', 3],
      ['prediction', 3],
    ])
    const [[record]] = (await rows(
      folder,
      "SELECT record FROM records WHERE kind = 'outcome' ORDER BY seq LIMIT 1",
    )) as [[string]]
    expect(JSON.parse(record)).toMatchObject({ seq: 5, prediction: 'p1', value: true })
  })

  it('works without a folder, without segments and with an empty one', async () => {
    const folder = await temporaryFolder()
    const sql = 'SELECT count(*) FROM predictions, calls, outcomes, decisions, records'
    expect(await rows(join(folder, 'nowhere'), sql)).toEqual([[0]])
    expect(await rows(folder, sql)).toEqual([[0]])
    await writeFile(join(folder, segmentName(1)), '')
    expect(await rows(folder, sql)).toEqual([[0]])
  })

  it('leaves out the line that is being written', async () => {
    const folder = await filledFolder()
    const newest = join(folder, (await readdir(folder)).sort().at(-1)!)
    await appendFile(newest, '{"seq":9,"kind":"prediction","id":"half')
    expect(await rows(folder, 'SELECT count(*) FROM records')).toEqual([[8]])
    expect(await rows(folder, 'SELECT count(*) FROM predictions')).toEqual([[3]])
  })

  it('reads a log that is being written', async () => {
    const { log } = await openTestLog()
    await log.whenDurable(log.append(prediction()))
    let isDone = false
    const writing = (async () => {
      while (!isDone) await log.whenDurable(log.append(prediction({ payload: payload() })))
    })()
    let before = 0
    for (let i = 0; i < 3; i++) {
      const atLeast = log.durableThrough()
      const [[count]] = (await rows(log.folder, 'SELECT count(*) FROM predictions')) as [[number]]
      expect(count).toBeGreaterThanOrEqual(Math.max(before, atLeast))
      before = count
    }
    isDone = true
    await writing
  })

  it('reads a folder whose name has quotes and stars in it', async () => {
    const folder = join(await temporaryFolder(), "it's [a] *folder*")
    await mkdir(folder)
    const { log } = await openTestLog({ folder })
    await log.whenDurable(log.append(prediction()))
    expect(await rows(folder, 'SELECT count(*) FROM predictions')).toEqual([[1]])
  })

  it('gives values that JSON can hold', async () => {
    const folder = await temporaryFolder()
    const sql = `SELECT 9007199254740993::BIGINT a, 5::BIGINT b, sum(x) c, 1.50::DECIMAL(9,2) d, 'nan'::DOUBLE e,
      TIMESTAMP '2026-01-02 03:04:05' f, [1::BIGINT] g, {'k': 2::BIGINT} h, NULL i, DATE '2026-01-02' j, true k
      FROM range(3) t(x)`
    const { rows: found } = await queryLog(folder, sql)
    const expected = [
      '9007199254740993',
      5,
      3,
      1.5,
      'NaN',
      '2026-01-02T03:04:05Z',
      [1],
      { k: 2 },
      null,
      '2026-01-02',
      true,
    ]
    expect(found).toEqual([expected])
    expect(JSON.parse(JSON.stringify(found))).toEqual([expected])
  })

  it('stops at the number of rows asked for, and says so', async () => {
    const folder = await temporaryFolder()
    expect(await queryLog(folder, 'SELECT * FROM range(5)', { maxRows: 3 })).toMatchObject({
      rows: [[0], [1], [2]],
      truncated: true,
    })
    expect(await queryLog(folder, 'SELECT * FROM range(3)', { maxRows: 3 })).toMatchObject({ truncated: false })
  })

  it('refuses everything but one SELECT, and files outside the log', async () => {
    const folder = await filledFolder()
    const refused = [
      `COPY (SELECT 1) TO '${join(folder, 'out.csv')}'`,
      `EXPLAIN ANALYZE COPY (SELECT 1) TO '${join(folder, 'out.csv')}'`,
      "SELECT * FROM read_text('/etc/hostname')",
      "SELECT * FROM glob('/etc/*')",
      `ATTACH '${join(folder, 'other.db')}'`,
      'SET enable_external_access = true',
      'INSTALL httpfs',
      'CREATE TABLE t (a INTEGER)',
      'SELECT 1; SELECT 2',
      '',
    ]
    for (const sql of refused) {
      await expect(queryLog(folder, sql), sql).rejects.toMatchObject({ code: 'LOG_QUERY_FAILED', status: 400 })
    }
    expect((await readdir(folder)).filter((name) => !name.endsWith('.ndjson'))).toEqual([])
  })

  it("passes DuckDB's message on", async () => {
    const folder = await temporaryFolder()
    await expect(queryLog(folder, 'SELECT nothing FROM predictions')).rejects.toMatchObject({
      code: 'LOG_QUERY_FAILED',
      message: expect.stringContaining('Referenced column "nothing" not found'),
    })
  })

  it('stops at its memory limit instead of taking the server down', async () => {
    const folder = await temporaryFolder()
    const sql = 'SELECT list(a.range || b.range) FROM range(100000) a, range(1000) b'
    await expect(queryLog(folder, sql, { memoryLimitBytes: 64 * 1024 * 1024 })).rejects.toMatchObject({
      code: 'LOG_QUERY_FAILED',
      message: expect.stringContaining('memory'),
    })
  })

  it('stops when told to, before it runs and while it runs', async () => {
    const folder = await temporaryFolder()
    const endless = 'SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = 3'
    for (const turns of [0, 1, 5, 1000]) {
      const controller = new AbortController()
      const query = queryLog(folder, endless, { signal: controller.signal })
      const stopped = expect(query).rejects.toMatchObject({ code: 'LOG_QUERY_FAILED' })
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
      controller.abort()
      await stopped
    }
  })
})
