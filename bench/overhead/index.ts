import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { mlpModel } from '../../test/support/onnx-models.js'
import { cpuMs } from '../support/cpu.js'
import { load } from '../support/load.js'
import { describeMachine, type Figures, makeReport, median, publish } from '../support/report.js'
import { madeModels, type Subject, settled, startHeadrace, startScript } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const CONCURRENCIES = [1, 16, 32, 64]

const FEATURES = 30
const row = Array.from({ length: FEATURES }, seededRandom(30).next)
const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, FEATURES], datatype: 'FP32', data: row }] })
const plain = { 'Content-Type': 'application/json' }

const model = mlpModel({ inputs: FEATURES, hidden: [32, 16], outputs: 2, seed: 1 })
const batched = await madeModels({ mlp: { model } })
const unbatched = await madeModels({ mlp: { model, manifest: { batching: { enabled: false }, isolation: 'inline' } } })
const subjects: Record<string, { start: () => Promise<Subject>; path: string; hasKey?: true }> = {
  'node:http echo': { start: () => startScript(new URL('./echo-server.mjs', import.meta.url)), path: '/' },
  headrace: { start: () => startHeadrace(batched), path: '/v2/models/mlp/infer' },
  'headrace, with a key': { start: () => startHeadrace(batched), path: '/v2/models/mlp/infer', hasKey: true },
  'headrace, batching off': { start: () => startHeadrace(unbatched), path: '/v2/models/mlp/infer' },
}

/** Without a quota: what is measured is finding the caller, its right to predict, and the count. */
async function makeKey(url: string): Promise<string> {
  const request = { method: 'POST', headers: plain, body: JSON.stringify({ name: 'bench', role: 'admin' }) }
  const { secret } = (await (await fetch(`${url}/api/v1/keys`, request)).json()) as { secret: string }
  return secret
}

interface Tally {
  cpuMs: number
  requests: number
  seconds: number
  readonly p50Ms: number[]
  readonly p99Ms: number[]
}

/** Short, so that what else the machine does meets all subjects alike. */
const SLICE_MS = 1000

/**
 * Fresh processes of all subjects, each warmed up, then measured in turns: a slice of one, a slice of the next, until each has had
 * its time at a concurrency. Those that wait for their turn use no CPU.
 */
async function measureRound(): Promise<Record<string, Figures>> {
  const running: { name: string; subject: Subject; url: string; headers: Record<string, string> }[] = []
  const figures: Record<string, Record<string, number>> = {}
  try {
    for (const [name, { start, path, hasKey }] of Object.entries(subjects)) {
      const subject = await start()
      const url = subject.url + path
      const headers = hasKey ? { ...plain, authorization: `Bearer ${await makeKey(subject.url)}` } : plain
      running.push({ name, subject, url, headers })
      figures[name] = {}
      const answer = await fetch(url, { method: 'POST', headers, body })
      if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`)
      await load({ url, connections: 32, body, headers, durationMs: Math.min(durationMs, 3000) })
    }
    await settled()
    for (const connections of CONCURRENCIES) {
      const tallies = running.map((): Tally => ({ cpuMs: 0, requests: 0, seconds: 0, p50Ms: [], p99Ms: [] }))
      for (let spentMs = 0; spentMs < durationMs; spentMs += SLICE_MS) {
        for (const [i, { subject, url, headers }] of running.entries()) {
          const tally = tallies[i]!
          const before = cpuMs(subject.pid)
          const slice = await load({ url, connections, body, headers, durationMs: Math.min(SLICE_MS, durationMs) })
          if (slice.errors > 0) throw new Error(`${slice.errors} of ${slice.requests} requests failed at ${url}`)
          tally.cpuMs += cpuMs(subject.pid) - before
          tally.requests += slice.requests
          tally.seconds += slice.requests / slice.rate
          tally.p50Ms.push(slice.p50Ms)
          tally.p99Ms.push(slice.p99Ms)
        }
      }
      for (const [i, { name }] of running.entries()) {
        const tally = tallies[i]!
        const of = figures[name]!
        of[`c${connections} cpuUsPerRequest`] = (tally.cpuMs * 1000) / tally.requests
        of[`c${connections} ratePerSecond`] = tally.requests / tally.seconds
        of[`c${connections} p50Ms`] = median(tally.p50Ms)
        of[`c${connections} p99Ms`] = median(tally.p99Ms)
      }
    }
    return figures
  } finally {
    for (const { subject } of running) await subject.stop()
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, figures] of Object.entries(await measureRound())) {
    results[name] ??= []
    results[name].push(figures)
  }
}
await Promise.all([batched, unbatched].map((folder) => rm(folder, { recursive: true })))
publish(makeReport('overhead', 'What does a prediction cost beyond a bare HTTP echo?', machine, results))
