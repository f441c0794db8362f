// Gates over HTTP, with scripts as models: each version misbehaves in its own way.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { GateReport } from '../../src/release/index.js'
import { version } from '../../src/route/index.js'
import { call } from '../support/http.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer

/** P(fraud) by amount. */
const scripts: Readonly<Record<string, string>> = {
  1: 'row: ({ amount }) => ({ probability: 1 / (1 + Math.exp(-amount)) })',
  // As good.
  2: 'row: ({ amount }) => ({ probability: 1 / (1 + Math.exp(-1.1 * amount)) })',
  // The other way round.
  3: 'row: ({ amount }) => ({ probability: 1 / (1 + Math.exp(amount)) })',
  // NaN for some rows, and not for the warm-up's.
  4: 'row: ({ amount }) => ({ probability: amount > 2 ? Number.NaN : 0.5 })',
  // Hangs on some rows.
  5: 'row: ({ amount }) => { while (amount > 2); return { probability: 0.5 } }, timeoutMs: 300',
  // Good but in one country.
  6: 'row: ({ amount, country }) => ({ probability: 1 / (1 + Math.exp(country === "PL" ? amount : -amount)) })',
  // NaN at once.
  7: 'row: () => ({ probability: Number.NaN })',
  // Refuses some rows.
  8: 'row: ({ amount }) => { if (amount > 2.5) throw new Error("too much"); return { probability: 1 / (1 + Math.exp(-amount)) } }',
}

function put(name: string, source: string, inputs: string): void {
  const at = join(folder, 'models', 'pay', name)
  mkdirSync(at, { recursive: true })
  const script = `export default { inputs: ${inputs}, outputs: { probability: 'FP32' }, labels: ['ok', 'fraud'], timeoutMs: 30_000, ${source} }\n`
  writeFileSync(join(at, 'model.mjs'), script)
  writeFileSync(join(at, 'model.json'), JSON.stringify({ outputs: { probability: 'probabilities' } }))
}

beforeAll(async () => {
  for (const [name, source] of Object.entries(scripts)) put(name, source, "{ amount: 'FP32', country: 'BYTES' }")
  put('9', scripts[1]!, "{ amount: 'FP32', country: 'BYTES', age: 'FP32' }")
  const rows = Array.from({ length: 900 }, (_, i) => {
    const amount = Math.sin(i) * 3
    const isFraud = Math.sin(i) + 0.6 * Math.sin(i * 7.3) > 0 ? 1 : 0
    return `${amount.toFixed(4)},${i % 90 === 0 ? 'XX' : i % 3 === 0 ? 'PL' : 'DE'},${isFraud}`
  })
  writeFileSync(join(folder, 'holdout.csv'), ['amount,country,is_fraud', ...rows].join('\n'))
  writeFileSync(join(folder, 'empty.csv'), 'amount,country,is_fraud\n')
  writeFileSync(join(folder, 'corrupt.parquet'), 'this is no parquet file')
  writeFileSync(
    join(folder, 'one-class.csv'),
    ['amount,country,is_fraud', ...rows.map((row) => row.replace(/.$/, '0'))].join('\n'),
  )
  const dataset = (file: string, more = {}) => ({ file, label: 'is_fraud', kind: 'classification', ...more })
  const gated = (gates: object) => ({ route: version('pay', 1), gates })
  const auc = (of: string, more = {}) => ({ dataset: of, metric: 'auc', ...more })
  server = await startTestServer({
    folder,
    models: [],
    config: {
      datasets: {
        holdout: dataset('holdout.csv', { slices: ['country'], limit: 10_000 }),
        sample: dataset('holdout.csv', { limit: 200 }),
        missing: dataset('nowhere.csv'),
        corrupt: dataset('corrupt.parquet'),
        empty: dataset('empty.csv'),
        unlabelled: dataset('holdout.csv', { label: 'is_fruad' }),
        large: dataset('holdout.csv', { maxBytes: 100 }),
        oneClass: dataset('one-class.csv'),
        positive: dataset('holdout.csv', { positive: 'stolen', limit: 100 }),
      },
      endpoints: {
        pay: gated({ evaluations: [auc('holdout', { atLeast: 0.7, tolerance: 0.05 })] }),
        bad: gated({
          evaluations: ['missing', 'corrupt', 'empty', 'unlabelled', 'large', 'unknown', 'positive'].map((of) =>
            auc(of),
          ),
        }),
        one: gated({
          evaluations: [auc('oneClass', { atLeast: 0.5 }), { dataset: 'oneClass', metric: 'logLoss', atMost: 3 }],
        }),
        small: gated({ evaluations: [auc('sample')], slo: { p99Ms: 10_000, p50Ms: 1e-9 } }),
        asked: gated({ approvals: { count: 2, fourEyes: true } }),
        named: { route: version('pay', { alias: 'live' }), gates: {} },
        other: { route: version('nothing', 1), gates: {} },
      },
    },
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

async function check(number: number, endpoint = 'pay', body: object = {}): Promise<GateReport> {
  const { status, json } = await call(`${server.url}/api/v1/gates/reports/${endpoint}/pay/${number}`, 'POST', body)
  expect([status, json]).toEqual([200, expect.objectContaining({ endpoint, version: number })])
  return json
}

function result({ results }: GateReport, gate: string): GateReport['results'][number] {
  return results.find((found) => found.gate === gate)!
}

describe('a version', () => {
  it('as good as the champion passes, with the digest of the data it was judged on, and what was not checked', async () => {
    const report = await check(2)
    expect(report).toMatchObject({ passed: true, champion: { version: 1 } })
    expect(report.results.map(({ gate, verdict }) => [gate, verdict])).toEqual([
      ['loads', 'passed'],
      ['warm-up', 'passed'],
      ['signature', 'passed'],
      ['evaluation:holdout/auc', 'passed'],
      ['latency', 'skipped'],
      ['memory', 'skipped'],
      ['approvals', 'skipped'],
    ])
    expect(report.notChecked).toHaveLength(3)
    const { evidence } = result(report, 'evaluation:holdout/auc')
    expect(evidence['dataset']).toMatchObject({ digest: expect.stringMatching(/^sha256:/), rows: 900, used: 900 })
    expect(evidence['tooSmall']).toEqual([{ column: 'country', value: 'XX', rows: 10 }])
    const kept = await call(`${server.url}/api/v1/gates/reports/pay/pay/2`, 'GET')
    expect(kept.json).toEqual(report)
  })

  it('that is worse fails with the interval, and one that is worse in a slice is told with the slice', async () => {
    const worse = await check(3)
    expect(worse.passed).toBe(false)
    expect(result(worse, 'evaluation:holdout/auc').summary).toMatch(
      /must be at least 0\.7\. It is worse than the champion: .* interval/,
    )
    const sliced = await check(6)
    expect(result(sliced, 'evaluation:holdout/auc').summary).toContain('In country = PL auc is')
  })

  it('that answers NaN fails: in its warm-up, or in the evaluation with the number of rows', async () => {
    const [late, atOnce] = [await check(4), await check(7)]
    expect(result(late, 'evaluation:holdout/auc').summary).toMatch(/NaN or an infinity on \d+ rows/)
    expect(result(atOnce, 'warm-up').summary).toBe('Output "probability" is NaN for a warm-up row.')
    expect(result(atOnce, 'signature')).toMatchObject({
      verdict: 'skipped',
      summary: 'It needs "warm-up", which failed.',
    })
  })

  it('that hangs in the evaluation fails by its deadline', async () => {
    const report = await check(5)
    expect(result(report, 'evaluation:holdout/auc')).toMatchObject({ verdict: 'failed' })
    expect(report.passed).toBe(false)
  }, 60_000)

  it('that refuses rows is judged on the others, and the rows are counted', async () => {
    const { summary, evidence, verdict } = result(await check(8), 'evaluation:holdout/auc')
    expect(verdict).toBe('passed')
    expect(summary).toMatch(/It could not take \d+ rows\./)
    expect(evidence['dataset']).toMatchObject({
      refusedProblems: expect.arrayContaining([expect.stringContaining('too much')]),
    })
  })

  it('with one input more breaks callers', async () => {
    expect(result(await check(9, 'asked'), 'signature').summary).toContain('Input "age" is new and required')
  })

  it('is not known, or not of the endpoint: told as such', async () => {
    const ask = (path: string) => call(`${server.url}/api/v1/gates/reports/${path}`, 'POST', {})
    expect(await ask('pay/pay/77')).toMatchObject({ status: 404, json: { code: 'GATE_VERSION_NOT_FOUND' } })
    // Spelt wrong: nothing is asked of such an endpoint, and no such gate is checked, so the check would pass.
    expect(await ask('paid/pay/2')).toMatchObject({ status: 404, json: { code: 'PATH_ENDPOINT_NOT_FOUND' } })
    const only = await call(`${server.url}/api/v1/gates/reports/pay/pay/2`, 'POST', { only: ['latencies'] })
    expect(only).toMatchObject({ status: 400, json: { code: 'GATE_NOT_FOUND' } })
    expect(await ask('other/pay/1')).toMatchObject({ status: 409, json: { code: 'GATE_ENDPOINT_OTHER_MODEL' } })
    const never = await call(`${server.url}/api/v1/gates/reports/one/pay/6`, 'GET')
    expect(never.json.code).toBe('GATE_NO_REPORT')
    const itself = await check(1)
    expect(result(itself, 'signature').summary).toContain('serves the endpoint already')
  })
})

describe('data sets', () => {
  it('that cannot be used fail their evaluations, each with what is wrong', async () => {
    const report = await check(2, 'bad')
    const told = Object.fromEntries(
      report.results.map(({ gate, verdict, summary }) => [gate, `${verdict}: ${summary}`]),
    )
    expect(told['evaluation:missing/auc']).toContain(
      'failed: Data set "missing" cannot be used: there is no file "nowhere.csv"',
    )
    expect(told['evaluation:corrupt/auc']).toMatch(/failed: Data set "corrupt" cannot be used: .*corrupt\.parquet/)
    expect(told['evaluation:empty/auc']).toContain('it has no rows')
    expect(told['evaluation:unlabelled/auc']).toContain('no column "is_fruad"; did you mean "is_fraud"?')
    expect(told['evaluation:large/auc']).toContain('100 are allowed')
    expect(told['evaluation:unknown/auc']).toContain('it is not configured')
    expect(told['evaluation:positive/auc']).toContain('positive class "stolen" is none of ok, fraud')
  })

  it('of one class: AUC is not judged and says so, other metrics are', async () => {
    const report = await check(2, 'one')
    expect(result(report, 'evaluation:oneClass/auc')).toMatchObject({
      verdict: 'skipped',
      summary: 'auc is not defined: all rows are of one class.',
    })
    expect(result(report, 'evaluation:oneClass/logLoss').verdict).toBe('passed')
  })

  it('larger than their limit are sampled, the same rows each time; limits of latency are held', async () => {
    const [once, again] = [await check(2, 'small'), await check(2, 'small')]
    const values = [once, again].map((report) => result(report, 'evaluation:sample/auc').evidence)
    expect(values[0]).toMatchObject({ dataset: { rows: 900, used: 200 } })
    expect(values[0]!['value']).toBe(values[1]!['value'])
    expect(result(once, 'latency')).toMatchObject({
      verdict: 'failed',
      evidence: { machine: { node: process.version } },
    })
    expect(result(once, 'latency').summary).toMatch(/^p50 is .* and must be at most 1e-9 ms\./)
  })
})

describe('approvals', () => {
  const say = (verdict: string, by: string, comment?: string) =>
    call(
      `${server.url}/api/v1/gates/approvals/asked/pay/2`,
      'POST',
      { verdict, ...(comment && { comment }) },
      { headers: { 'headrace-actor': by } },
    )
  const approvals = async () => result(await check(2, 'asked', { only: ['approvals'] }), 'approvals')

  it('are waited for, counted by person, ended by a rejection and by its undoing', async () => {
    const first = await check(2, 'asked')
    expect(first).toMatchObject({ passed: false, awaitsApproval: true })
    await say('approved', 'anna', 'looked at the slices')
    await say('approved', 'anna')
    expect((await approvals()).summary).toContain('1 of 2 approvals')
    await say('approved', 'ben')
    expect(await approvals()).toMatchObject({ verdict: 'passed', summary: 'Approved by anna, ben.' })
    const rejected = await say('rejected', 'carl', 'too early')
    expect(await approvals()).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining('carl rejected it: too early'),
    })
    await call(`${server.url}/api/v1/decisions/${rejected.json.id}/undo`, 'POST', {})
    expect((await approvals()).verdict).toBe('passed')
    const listed = await call(`${server.url}/api/v1/gates/approvals/asked/pay/2`, 'GET')
    const [anna] = listed.json.approvals.filter(({ by }: { by: { name: string } }) => by.name === 'anna')
    await call(`${server.url}/api/v1/decisions/${anna.decision}/undo`, 'POST', {})
    // Her earlier word is what stands again.
    expect((await approvals()).verdict).toBe('passed')
  })
})

describe('four eyes', () => {
  it('keep who pushed a version from approving it', async () => {
    const pushed = await fetch(`${server.url}/api/v1/models/pay/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', 'headrace-actor': 'dora' },
      body: readFileSync('examples/shop/models/fraud/1/model.onnx'),
    })
    const { version: number } = (await pushed.json()) as { version: number }
    const approve = (by: string) =>
      call(
        `${server.url}/api/v1/gates/approvals/asked/pay/${number}`,
        'POST',
        { verdict: 'approved' },
        { headers: { 'headrace-actor': by } },
      )
    expect(await approve('dora')).toMatchObject({ status: 403, json: { code: 'GATE_APPROVER_IS_AUTHOR' } })
    expect((await approve('emil')).status).toBe(200)
  })

  it('keep who approved a version from pointing the endpoint at it', async () => {
    const pointBy = (by: string) =>
      call(
        `${server.url}/api/v1/endpoints/asked/route`,
        'PUT',
        { model: 'pay', version: 2 },
        { headers: { 'headrace-actor': by } },
      )
    expect(await pointBy('ben')).toMatchObject({
      status: 409,
      json: { code: 'GATE_NOT_PASSED', error: expect.stringContaining('1 of 2 approvals are there') },
    })
    expect((await pointBy('carl')).status).toBe(200)
  })
})

describe('an alias that an endpoint with gates follows', () => {
  const point = (body: object) => call(`${server.url}/api/v1/models/pay/aliases/live`, 'PUT', body)

  it('is not pointed at a version without a passing report, unless it is forced with a reason', async () => {
    expect(await point({ version: 2 })).toMatchObject({ status: 409, json: { code: 'GATE_NOT_PASSED' } })
    expect(await point({ version: 2, force: true })).toMatchObject({
      status: 400,
      json: { code: 'GATE_REASON_NEEDED' },
    })
    const forced = await point({ version: 1, force: true, reason: 'the first one' })
    expect(forced).toMatchObject({ status: 200, json: { evidence: { forced: true, reason: 'the first one' } } })
    expect((await check(2, 'named')).passed).toBe(true)
    expect((await point({ version: 2 })).status).toBe(200)
  })
})

describe('long work', () => {
  it('tells how far it is, and the result in its last line', async () => {
    const { text, headers } = await call(`${server.url}/api/v1/gates/reports/pay/pay/2`, 'POST', { stream: true })
    expect(headers.get('content-type')).toBe('application/x-ndjson')
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines[0]).toMatchObject({ progress: { step: 'loads' } })
    expect(lines.some(({ progress }) => progress?.step === 'evaluation on holdout' && progress.done === 900)).toBe(true)
    expect(lines.at(-1)).toMatchObject({ result: { passed: true } })
  })

  it('profiles a version, and ends when its caller goes away', async () => {
    const at = `${server.url}/api/v1/gates/profiles/pay/2`
    const { json } = await call(at, 'POST', { batchSizes: [1, 8], concurrencies: [2], durationMs: 20 })
    expect(json).toMatchObject({ model: 'pay', batches: [{ rows: 1 }, { rows: 8 }], callers: [{ concurrency: 2 }] })
    expect(json.cost.points.map(({ rows }: { rows: number }) => rows)).toEqual([1, 8])
    expect(json.batches[0].p99Ms).toBeGreaterThanOrEqual(json.batches[0].p50Ms)
    const gone = new AbortController()
    const long = call(at, 'POST', { durationMs: 60_000, stream: true }, { signal: gone.signal }).catch(
      (error: Error) => error.name,
    )
    await expect.poll(() => server.app.pool.get({ model: 'pay' as never, version: 2 })).toBeDefined()
    gone.abort()
    expect(await long).toBe('AbortError')
  })
})
