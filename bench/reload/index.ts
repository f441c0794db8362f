import { cp, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type ProbeTarget, probe } from '../support/probe.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeModels, readMetric, type Subject, startHeadrace } from '../support/servers.js'
import { mlpModel } from './models.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    cycles: { type: 'string', default: '100' },
    quiet: { type: 'string', default: '20' },
  },
})
const rounds = Number(values.rounds)
const cycles = Number(values.cycles)
const quietMs = Number(values.quiet) * 1000
const RATE_PER_SECOND = 100
const PERIOD_MS = 600
const INPUTS = 64
const MODEL = mlpModel({ inputs: INPUTS, hidden: [1600, 1600], outputs: 8, seed: 1 })

const body = JSON.stringify({
  inputs: [{ name: 'x', shape: [1, INPUTS], datatype: 'FP32', data: new Array<number>(INPUTS).fill(0.5) }],
})

async function rssMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024
}

/** The least of a few readings: what is between two collections of garbage is nobody's leak. The server may have other children. */
async function memoryOf(server: Subject): Promise<{ serverMiB: number; modelsMiB: number }> {
  let serverMiB = Number.POSITIVE_INFINITY
  let modelsMiB = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i++) {
    serverMiB = Math.min(serverMiB, await rssMiB(server.pid))
    modelsMiB = Math.min(modelsMiB, (await readMetric(server, 'ml_process_rss_bytes', 'group="reloaded"')) / 2 ** 20)
    await pause(600)
  }
  return { serverMiB, modelsMiB }
}

async function expectOk(url: string, init?: RequestInit): Promise<void> {
  const response = await fetch(url, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`${init?.method ?? 'GET'} ${url}: ${response.status} ${text}`)
}

async function untilReady(url: string): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    const response = await fetch(url)
    await response.arrayBuffer()
    if (response.ok) return
    await pause(10)
  }
  throw new Error(`${url} was not ready within 10 seconds`)
}

/** Version `n + 1` is published, takes over, is rolled back, takes over again, and version `n` is removed: all under traffic. */
async function cycle(models: string, url: string, n: number): Promise<void> {
  const point = (version: number) =>
    expectOk(`${url}/api/v1/models/reloaded/aliases/champion`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ version }),
    })
  const version = (number: number) => path.join(models, 'reloaded', String(number))
  const half = path.join(path.dirname(models), `half-written-${path.basename(models)}`)
  await cp(version(n), half, { recursive: true })
  await rename(half, version(n + 1))
  await untilReady(`${url}/v2/models/reloaded/versions/${n + 1}/ready`)
  await point(n + 1)
  await point(n)
  await point(n + 1)
  await rm(version(n), { recursive: true })
}

async function measure(isolation: 'thread' | 'process', reloads: boolean): Promise<Figures> {
  const models = await madeModels({ reloaded: { model: MODEL, manifest: { isolation } } })
  const server = await startHeadrace(models, { HEADRACE_MODELS_SETTLE_MS: '0' })
  const target: ProbeTarget = { name: 'reloaded', url: `${server.url}/v2/models/reloaded/infer`, body }
  const ask = async (durationMs: number) =>
    (await probe({ targets: [target], ratePerSecond: RATE_PER_SECOND, durationMs }))['reloaded']!
  try {
    await ask(5000)
    const quiet = await ask(quietMs)
    const before = await memoryOf(server)
    const asked: Awaited<ReturnType<typeof ask>>[] = []
    let isDone = !reloads
    // On a busy machine the cycles take longer than they should: they are all to be under traffic.
    const asking = (async () => {
      do asked.push(await ask(cycles * PERIOD_MS))
      while (!isDone)
    })()
    const startMs = performance.now()
    for (let n = 1; reloads && n <= cycles; n++) {
      await cycle(models, server.url, n)
      await pause(Math.max(0, startMs + n * PERIOD_MS - performance.now()))
    }
    const tookMs = performance.now() - startMs
    isDone = true
    await asking
    const worst = (of: 'p50Ms' | 'p99Ms' | 'maxMs') => Math.max(...asked.map((result) => result[of]))
    const after = await memoryOf(server)
    await rm(path.join(models, 'reloaded'), { recursive: true })
    await pause(3000)
    const emptied = await memoryOf(server)
    return {
      'failed requests': asked.reduce((sum, { errors }) => sum + errors, quiet.errors),
      requests: asked.length * Math.floor((cycles * PERIOD_MS * RATE_PER_SECOND) / 1000),
      'seconds for all cycles': reloads ? tookMs / 1000 : 0,
      'p50Ms, quiet': quiet.p50Ms,
      'p50Ms, meanwhile': worst('p50Ms'),
      'p99Ms, quiet': quiet.p99Ms,
      'p99Ms, meanwhile': worst('p99Ms'),
      'p99 meanwhile over quiet': worst('p99Ms') / quiet.p99Ms,
      'maxMs, meanwhile': worst('maxMs'),
      'server RSS before, MiB': before.serverMiB,
      'server RSS after, MiB': after.serverMiB,
      'server RSS grown, MiB': after.serverMiB - before.serverMiB,
      'process RSS grown, MiB': after.modelsMiB - before.modelsMiB,
      'process RSS without the model, MiB': emptied.modelsMiB,
      'server RSS without the model, MiB': emptied.serverMiB,
    }
  } finally {
    await server.stop()
    await rm(models, { recursive: true, force: true })
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {
  'thread, no reloads': [],
  'thread, reloads': [],
  'process, no reloads': [],
  'process, reloads': [],
}
for (let round = 0; round < rounds; round++) {
  for (const isolation of ['thread', 'process'] as const) {
    results[`${isolation}, no reloads`]!.push(await measure(isolation, false))
    results[`${isolation}, reloads`]!.push(await measure(isolation, true))
  }
}
publish(makeReport('reload', 'What do 100 loads, roll-outs and rollbacks under traffic cost?', machine, results))
