import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { mlpModel } from '../../test/support/onnx-models.js'
import { cpuMs } from '../support/cpu.js'
import { load } from '../support/load.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeModels, type Subject, startHeadrace, startScript } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const CONCURRENCIES = [1, 16, 32, 64]

const FEATURES = 30
const row = Array.from({ length: FEATURES }, seededRandom(30).next)
const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, FEATURES], datatype: 'FP32', data: row }] })
const headers = { 'Content-Type': 'application/json' }

const model = mlpModel({ inputs: FEATURES, hidden: [32, 16], outputs: 2, seed: 1 })
const batched = await madeModels({ mlp: { model } })
const unbatched = await madeModels({ mlp: { model, manifest: { batching: { enabled: false }, isolation: 'inline' } } })
const subjects: Record<string, { start: () => Promise<Subject>; path: string }> = {
  'node:http echo': { start: () => startScript(new URL('./echo-server.mjs', import.meta.url)), path: '/' },
  headrace: { start: () => startHeadrace(batched), path: '/v2/models/mlp/infer' },
  'headrace, batching off': { start: () => startHeadrace(unbatched), path: '/v2/models/mlp/infer' },
}

/** One fresh process through every concurrency, after a warm-up that is thrown away. */
async function measure(start: () => Promise<Subject>, path: string): Promise<Figures> {
  const subject = await start()
  try {
    const url = subject.url + path
    const answer = await fetch(url, { method: 'POST', headers, body })
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`)
    await load({ url, connections: 32, body, headers, durationMs: Math.min(durationMs, 3000) })
    const figures: Record<string, number> = {}
    for (const connections of CONCURRENCIES) {
      const before = cpuMs(subject.pid)
      const { requests, rate, p50Ms, p99Ms, errors } = await load({ url, connections, body, headers, durationMs })
      if (errors > 0) throw new Error(`${errors} of ${requests} requests failed at ${url}`)
      figures[`c${connections} cpuUsPerRequest`] = ((cpuMs(subject.pid) - before) * 1000) / requests
      figures[`c${connections} ratePerSecond`] = rate
      figures[`c${connections} p50Ms`] = p50Ms
      figures[`c${connections} p99Ms`] = p99Ms
    }
    return figures
  } finally {
    await subject.stop()
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, { start, path }] of Object.entries(subjects)) {
    results[name] ??= []
    results[name].push(await measure(start, path))
  }
}
await Promise.all([batched, unbatched].map((folder) => rm(folder, { recursive: true })))
publish(makeReport('overhead', 'What does a prediction cost beyond a bare HTTP echo?', machine, results))
