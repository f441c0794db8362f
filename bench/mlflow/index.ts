import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cpuMs } from '../support/cpu.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { type Subject, settled, startHeadrace } from '../support/servers.js'
import { fillHeadrace } from './fill.js'

const { values } = parseArgs({
  options: {
    /** A Python that has mlflow 3. */
    python: { type: 'string', default: 'python3' },
    runs: { type: 'string', default: '100000' },
    /** Times each operation is asked for, on each side: fewer where they take longer than MOST_MS. */
    count: { type: 'string', default: '200' },
  },
})
const runs = Number(values.runs)
const count = Number(values.count)
const START_MS = 300_000
/** Requests to one side before it is the other's turn. */
const TURN = 10
/** A side that spent this long on an operation has been asked enough, unless it was asked less than LEAST times. */
const MOST_MS = 20_000
const LEAST = 30
const BASE = '/api/2.0/mlflow'

/** One keep-alive connection, one request after the other. */
class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(readonly root: string) {}

  ask(method: 'GET' | 'POST', call: string, body?: object): Promise<Answer> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }
    return new Promise((resolve, reject) => {
      const outgoing = request(`${this.root}${BASE}/${call}`, { agent: this.#agent, method, headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('end', () => {
          const answer = Buffer.concat(chunks).toString()
          if (response.statusCode === 200) resolve(JSON.parse(answer) as Answer)
          else reject(new Error(`${call} answered ${response.statusCode}: ${answer.slice(0, 1000)}`))
        })
      })
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        // A server that closes idle connections may do so at the moment one is used again.
        if (error.code === 'ECONNRESET' && outgoing.reusedSocket) this.ask(method, call, body).then(resolve, reject)
        else reject(error)
      })
      outgoing.end(text)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

interface Metric {
  readonly key: string
  readonly value: number | string
  readonly step: number
}
interface Answer {
  readonly run: { readonly info: { readonly run_id: string }; readonly data: { readonly metrics: readonly Metric[] } }
  readonly runs?: readonly { readonly info: { readonly run_name: string } }[]
}

interface Side {
  readonly name: string
  readonly subject: Subject
  readonly client: Client
  /** A run that takes metrics in. */
  runId: string
}

const folder = mkdtempSync(path.join(tmpdir(), 'headrace-mlflow-'))

async function startOurs(): Promise<Subject> {
  const dataDir = path.join(folder, 'data')
  mkdirSync(dataDir)
  mkdirSync(path.join(folder, 'models'))
  writeFileSync(path.join(folder, 'headrace.config.mjs'), 'export default {}\n')
  await fillHeadrace(dataDir, runs)
  return startHeadrace(folder, { HEADRACE_STORE_DATA_DIR: dataDir })
}

async function startTheirs(): Promise<Subject> {
  const database = path.join(folder, 'mlflow.db')
  const port = await freePort()
  const log = path.join(folder, 'mlflow.log')
  const output = openSync(log, 'w')
  const args = ['-m', 'mlflow', 'server', '--backend-store-uri', `sqlite:///${database}`, '--host', '127.0.0.1']
  const child = spawn(values.python, [...args, '--port', String(port)], {
    ...{ cwd: folder, detached: true, stdio: ['ignore', output, output] },
    env: { ...process.env, MLFLOW_DISABLE_TELEMETRY: 'true' },
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
    await ended
  }
  const url = `http://127.0.0.1:${port}`
  for (let waitedMs = 0; waitedMs < START_MS && child.exitCode === null; waitedMs += 500) {
    await setTimeout(500)
    if (
      !(await fetch(`${url}/health`).then(
        ({ ok }) => ok,
        () => false,
      ))
    )
      continue
    try {
      const made = await fetch(`${url}${BASE}/experiments/create`, {
        ...{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"name":"bench"}' },
      })
      const { experiment_id: id } = (await made.json()) as { experiment_id: string }
      if (id !== '1') throw new Error(`MLflow's first experiment has the id ${id}`)
      execFileSync(values.python, [fileURLToPath(new URL('./fill.py', import.meta.url)), database, String(runs)])
    } catch (error) {
      await stop()
      throw error
    }
    return { url, pid: child.pid!, stop }
  }
  await stop()
  throw new Error(`MLflow's server did not start:\n${readFileSync(log, 'utf8').slice(-3000)}`)
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

const SEARCHES: readonly { filter?: string; order_by?: string[] }[] = [
  {},
  { filter: 'metrics.auc > 0.9', order_by: ['metrics.auc DESC'] },
  { filter: "params.lr = '0.1' and metrics.auc > 0.5 and tags.team = 't1'", order_by: ['metrics.loss ASC'] },
  { order_by: ['metrics.f1 ASC'] },
  { filter: "attributes.run_name LIKE 'run-99%'", order_by: ['attributes.start_time ASC'] },
  { filter: "tags.team != 't1' and params.depth = '3'" },
  { filter: 'metrics.auc > 0.5 and metrics.auc < 0.5005 and metrics.loss > 0.5' },
  { filter: "attributes.status = 'FAILED'", order_by: ['metrics.auc DESC'] },
  // What many runs meet one by one and none together, and what none meets.
  { filter: "params.depth = '3' and params.kind = 'm1'", order_by: ['metrics.auc DESC'] },
  { filter: "tags.team LIKE '%x%'", order_by: ['metrics.auc DESC'] },
]
const search = (client: Client, query: object) =>
  client.ask('POST', 'runs/search', { experiment_ids: ['1'], max_results: 100, ...query })

const NOW_MS = 1_750_000_000_000
const wide = (i: number) =>
  Array.from({ length: 1000 }, (_, k) => ({ key: `metric_${k}`, value: (i + k) / 7, timestamp: NOW_MS + i, step: i }))
const deep = (i: number) =>
  Array.from({ length: 1000 }, (_, k) => ({
    ...{ key: `loss_${k % 10}`, value: (i + k) / 7, timestamp: NOW_MS + i * 100 + Math.floor(k / 10) },
    step: i * 100 + Math.floor(k / 10),
  }))

type Operation = (side: Side, i: number) => Promise<unknown>
const OPERATIONS: Readonly<Record<string, Operation>> = {
  'log-batch, 1,000 keys': ({ client, runId }, i) =>
    client.ask('POST', 'runs/log-batch', { run_id: runId, metrics: wide(i + 1) }),
  'log-batch, 10 keys of 100 steps': ({ client, runId }, i) =>
    client.ask('POST', 'runs/log-batch', { run_id: runId, metrics: deep(i + 1) }),
  'log-metric': ({ client, runId }, i) =>
    client.ask('POST', 'runs/log-metric', { run_id: runId, key: 'single', value: i, timestamp: NOW_MS + i, step: i }),
  'create-run': ({ client }, i) =>
    client.ask('POST', 'runs/create', { experiment_id: '0', start_time: NOW_MS + i, tags: [{ key: 'a', value: 'b' }] }),
  'get-run': ({ client }, i) => client.ask('GET', `runs/get?run_id=${(i * 37).toString(16).padStart(32, '0')}`),
  [`search over ${runs} runs`]: ({ client }, i) => search(client, SEARCHES[i % SEARCHES.length]!),
}

/** The same questions, the same answers: nothing is timed before that. */
async function compare(sides: readonly Side[]): Promise<void> {
  const answers = await Promise.all(
    sides.map(async (side) => {
      const { client } = side
      const { run } = await client.ask('POST', 'runs/create', { experiment_id: '0', start_time: NOW_MS })
      side.runId = run.info.run_id
      for (const metrics of [wide(0), deep(0)])
        await client.ask('POST', 'runs/log-batch', { run_id: side.runId, metrics })
      const logged = (await client.ask('GET', `runs/get?run_id=${side.runId}`)).run.data.metrics
      const searched = []
      for (const query of SEARCHES) searched.push((await search(client, query)).runs?.map(({ info }) => info.run_name))
      const latest = logged.map(({ key, value, step }) => [key, value, step]).sort((a, b) => (a[0]! < b[0]! ? -1 : 1))
      return { latest, searched }
    }),
  )
  const [ours, theirs] = answers.map((answer) => JSON.stringify(answer))
  if (ours !== theirs) {
    for (const [i, query] of SEARCHES.entries())
      if (JSON.stringify(answers[0]!.searched[i]) !== JSON.stringify(answers[1]!.searched[i]))
        console.error(`${JSON.stringify(query)}:\n${answers[0]!.searched[i]}\n${answers[1]!.searched[i]}`)
    throw new Error('the two sides answer differently')
  }
}

const machine = describeMachine()
const sides: Side[] = []
try {
  for (const [name, start] of [
    ['MLflow server', startTheirs],
    ['Headrace', startOurs],
  ] as const) {
    const subject = await start()
    sides.push({
      name,
      subject,
      client: new Client(name === 'Headrace' ? `${subject.url}/mlflow` : subject.url),
      runId: '',
    })
  }
  await compare(sides)
  await settled()
  const figures: Record<string, Record<string, number>> = Object.fromEntries(sides.map(({ name }) => [name, {}]))
  for (const [operation, work] of Object.entries(OPERATIONS)) {
    const tallies = sides.map(() => ({ latenciesMs: [] as number[], spentMs: 0, cpuMs: 0 }))
    // In turns, so that what else the machine does meets both alike.
    for (let from = 0; from < count; from += TURN)
      for (const [s, side] of sides.entries()) {
        const tally = tallies[s]!
        if (tally.spentMs > MOST_MS && tally.latenciesMs.length >= LEAST) continue
        const cpuBefore = cpuMs(side.subject.pid)
        for (let i = from; i < Math.min(from + TURN, count); i++) {
          const startMs = performance.now()
          await work(side, i)
          const latencyMs = performance.now() - startMs
          tally.latenciesMs.push(latencyMs)
          tally.spentMs += latencyMs
        }
        tally.cpuMs += cpuMs(side.subject.pid) - cpuBefore
      }
    for (const [s, { name }] of sides.entries()) {
      const sorted = tallies[s]!.latenciesMs.sort((a, b) => a - b)
      const of = figures[name]!
      of[`${operation}: requests`] = sorted.length
      of[`${operation}: p50Ms`] = sorted[Math.floor(sorted.length * 0.5)]!
      of[`${operation}: p99Ms`] = sorted[Math.floor(sorted.length * 0.99)]!
      of[`${operation}: cpuMs`] = tallies[s]!.cpuMs / sorted.length
    }
  }
  const results: Record<string, Figures[]> = Object.fromEntries(sides.map(({ name }) => [name, [figures[name]!]]))
  publish(makeReport('mlflow', 'How fast is tracking beside the MLflow server?', machine, results))
} finally {
  for (const { client, subject } of sides) {
    client.close()
    await subject.stop()
  }
  rmSync(folder, { recursive: true, force: true })
}
