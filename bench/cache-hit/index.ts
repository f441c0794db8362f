import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { mlpModel, slowModel } from '../../test/support/onnx-models.js'
import { cpuMs } from '../support/cpu.js'
import { load } from '../support/load.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeProject, readMetric, type Subject, startHeadrace, startScript } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const CONCURRENCIES = [1, 32]
const IDENTICAL = 1000
/** Without a cache all of them wait for runs in turn: with less time, those that cannot be answered by then are refused. */
const DEADLINE_MS = 120_000

const FEATURES = 30
const row = Array.from({ length: FEATURES }, seededRandom(30).next)
const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, FEATURES], datatype: 'FP32', data: row }] })
const slowBody = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }] })
const headers = { 'Content-Type': 'application/json' }

const project = await madeProject(
  {
    mlp: { model: mlpModel({ inputs: FEATURES, hidden: [32, 16], outputs: 2, seed: 1 }) },
    slow: { model: slowModel(300) },
  },
  {
    cached: { route: { kind: 'version', model: 'mlp', version: 1 }, cache: {} },
    'cached-by-request': { route: { kind: 'version', model: 'mlp', version: 1 }, cache: { key: 'request' } },
    'slow-cached': { route: { kind: 'version', model: 'slow', version: 1 }, cache: {}, deadlineMs: DEADLINE_MS },
    'slow-uncached': { route: { kind: 'version', model: 'slow', version: 1 }, deadlineMs: DEADLINE_MS },
  },
)
const start = () => startHeadrace(project)
const subjects: Record<string, { start: () => Promise<Subject>; path: string; endpoint?: string }> = {
  'node:http echo': {
    start: () => startScript(new URL('../overhead/echo-server.mjs', import.meta.url)),
    path: '/',
  },
  hit: { start, path: '/v2/models/cached/infer', endpoint: 'cached' },
  'hit, key: request': { start, path: '/v2/models/cached-by-request/infer', endpoint: 'cached-by-request' },
  'no cache': { start, path: '/v2/models/mlp/infer' },
}

async function measure({ start, path, endpoint }: (typeof subjects)[string]): Promise<Figures> {
  const subject = await start()
  try {
    const url = subject.url + path
    const answer = await fetch(url, { method: 'POST', headers, body })
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`)
    await load({ url, connections: 32, body, headers, durationMs: Math.min(durationMs, 3000) })
    const figures: Record<string, number> = {}
    let sent = 0
    const hitsBefore = endpoint === undefined ? 0 : await hits(subject, endpoint)
    for (const connections of CONCURRENCIES) {
      const before = cpuMs(subject.pid)
      const { requests, rate, p50Ms, p99Ms, errors } = await load({ url, connections, body, headers, durationMs })
      if (errors > 0) throw new Error(`${errors} of ${requests} requests failed at ${url}`)
      sent += requests
      figures[`c${connections} cpuUsPerRequest`] = ((cpuMs(subject.pid) - before) * 1000) / requests
      figures[`c${connections} ratePerSecond`] = rate
      figures[`c${connections} p50Ms`] = p50Ms
      figures[`c${connections} p99Ms`] = p99Ms
    }
    // wrk leaves a few requests uncounted at its end, and now and then a hit renews its answer.
    if (endpoint !== undefined && (await hits(subject, endpoint)) - hitsBefore < 0.99 * sent)
      throw new Error(`Of ${sent} requests to ${endpoint} not all were hits.`)
    return figures
  } finally {
    await subject.stop()
  }
}

function hits(subject: Subject, endpoint: string): Promise<number> {
  return readMetric(subject, 'ml_cache_requests_total', `endpoint="${endpoint}"`, 'result="hit"')
}

/** Identical requests at once, on connections of their own, for an answer that nobody has asked for before. */
async function measureCoalescing(path: string): Promise<Figures> {
  const subject = await start()
  try {
    const runs = () => readMetric(subject, 'ml_batch_size_count', 'model="slow"')
    const before = await runs()
    const result = await load({
      url: subject.url + path,
      connections: IDENTICAL,
      count: IDENTICAL,
      body: slowBody,
      headers,
    })
    if (result.errors > 0) throw new Error(`${result.errors} of ${IDENTICAL} identical requests failed.`)
    return { modelRuns: (await runs()) - before, allAnsweredMs: result.elapsedMs }
  } finally {
    await subject.stop()
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
const coalescing: Record<string, Figures[]> = { 'with cache': [], without: [] }
for (let round = 0; round < rounds; round++) {
  for (const [name, subject] of Object.entries(subjects)) {
    results[name] ??= []
    results[name].push(await measure(subject))
  }
  coalescing['with cache']!.push(await measureCoalescing('/v2/models/slow-cached/infer'))
  coalescing['without']!.push(await measureCoalescing('/v2/models/slow-uncached/infer'))
}
await rm(project, { recursive: true })
publish(makeReport('cache-hit', 'What does a cached answer cost, beside a bare HTTP echo?', machine, results))
publish(
  makeReport(
    'cache-coalescing',
    `How often does a model run for ${IDENTICAL} identical requests?`,
    machine,
    coalescing,
  ),
)
