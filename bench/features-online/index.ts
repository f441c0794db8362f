import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { cpuMs } from '../support/cpu.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { type Subject, settled, startHeadrace } from '../support/servers.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    /** A Python that has feast 0.67. */
    python: { type: 'string', default: 'python3' },
    /** A repository that prepare.py made earlier, with the same number of entities. */
    repository: { type: 'string' },
    entities: { type: 'string', default: '10000' },
  },
})
const rounds = Number(values.rounds)
const sliceMs = Number(values.seconds) * 1000
const ENTITIES = Number(values.entities)
const VIEWS = 25
const FEATURES = 10
const SIZES = [1, 100]
/** Request bodies are made before they are timed, and used in turn. */
const BODIES = 200
const START_MS = 120_000

interface Side {
  readonly name: string
  readonly path: string
  readonly body: (ids: readonly number[]) => string
  /** Values by feature, then by entity. */
  readonly parse: (json: never) => Record<string, unknown[]>
  readonly start: () => Promise<Subject>
}

const repository = values.repository ?? mkdtempSync(path.join(tmpdir(), 'headrace-feast-'))
if (!existsSync(path.join(repository, 'online.db'))) {
  console.log(
    `writing ${VIEWS} views of ${ENTITIES} entities into Feast's SQLite online store; this takes some minutes`,
  )
  const script = fileURLToPath(new URL('./prepare.py', import.meta.url))
  execFileSync(values.python, [script, repository, String(ENTITIES)], { cwd: repository, stdio: 'inherit' })
}
const project = mkdtempSync(path.join(tmpdir(), 'headrace-project-'))
await mkdir(path.join(project, 'models'))
const headraceFeatures = new URL('../../dist/features/index.js', import.meta.url).href
await writeFile(
  path.join(project, 'headrace.config.mjs'),
  `import { column, defineEntity, defineFeatureService, defineFeatureView, fileSource } from ${JSON.stringify(headraceFeatures)}
const item = defineEntity('item', { keys: { item_id: 'int64' } })
const views = Array.from({ length: ${VIEWS} }, (_, v) =>
  defineFeatureView('v' + v, {
    entities: [item],
    source: fileSource('rows' + v, {
      path: ${JSON.stringify(repository)} + '/v' + v + '.parquet', eventTime: 'event_timestamp', knownTime: 'created',
    }),
    ttl: '30d',
    features: Object.fromEntries(Array.from({ length: ${FEATURES} }, (_, f) => ['v' + v + '_f' + f, column('float64')])),
  }))
export default {
  models: { folder: './models' },
  features: { definitions: [item, ...views, defineFeatureService('all', views)] },
}
`,
)

const sides: readonly Side[] = [
  {
    name: 'Headrace, memory store',
    path: '/api/v1/features/online',
    body: (ids) => JSON.stringify({ service: 'all', entities: { item_id: ids } }),
    parse: ({ features }: { features: { name: string; values: unknown[] }[] }) =>
      Object.fromEntries(features.map((feature) => [feature.name, feature.values])),
    start: () => startHeadrace(project),
  },
  {
    name: 'Headrace, /feast',
    path: '/feast/get-online-features',
    body: feastBody,
    parse: parseFeast,
    start: () => startHeadrace(project),
  },
  {
    name: 'Feast 0.67, SQLite store',
    path: '/get-online-features',
    body: feastBody,
    parse: parseFeast,
    start: startFeast,
  },
]

function feastBody(ids: readonly number[]): string {
  return JSON.stringify({ feature_service: 'all', entities: { item_id: ids } })
}

function parseFeast(answer: {
  metadata: { feature_names: string[] | { val: string[] } }
  results: { values: unknown[] }[]
}): Record<string, unknown[]> {
  const { feature_names } = answer.metadata
  const names = Array.isArray(feature_names) ? feature_names : feature_names.val
  return Object.fromEntries(names.flatMap((name, i) => (name === 'item_id' ? [] : [[name, answer.results[i]!.values]])))
}

async function startFeast(): Promise<Subject> {
  const port = await freePort()
  const log = path.join(project, 'feast.log')
  const output = openSync(log, 'w')
  const feast = ['-m', 'feast.cli.cli', 'serve', '--host', '127.0.0.1', '--port', String(port), '--no-access-log']
  const child = spawn(values.python, feast, { cwd: repository, detached: true, stdio: ['ignore', output, output] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
    await ended
  }
  for (let waitedMs = 0; waitedMs < START_MS && child.exitCode === null; waitedMs += 500) {
    await setTimeout(500)
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isUp) return { url, pid: child.pid!, stop }
  }
  await stop()
  throw new Error(`Feast's server did not start:\n${readFileSync(log, 'utf8').slice(-3000)}`)
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

/** One keep-alive connection, one request after the other. */
class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(readonly url: string) {}

  post(body: string): Promise<Buffer> {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
    return new Promise((resolve, reject) => {
      const outgoing = request(this.url, { agent: this.#agent, method: 'POST', headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks))
          else reject(new Error(`${this.url} answered ${response.statusCode}: ${Buffer.concat(chunks)}`))
        })
      })
      outgoing.once('error', reject)
      outgoing.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

const random = seededRandom(5)
const idsOf = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random.next() * ENTITIES))
const idsBySize = new Map(SIZES.map((size) => [size, Array.from({ length: BODIES }, () => idsOf(size))]))

function expected(ids: readonly number[]): Record<string, number[]> {
  const byFeature: Record<string, number[]> = {}
  for (let v = 0; v < VIEWS; v++)
    for (let f = 0; f < FEATURES; f++)
      byFeature[`v${v}_f${f}`] = ids.map((id) => ((id * 31 + v * 7 + f * 3) % 1000) / 8)
  return byFeature
}

/** Waits until the store is filled; then every value of every request that is timed once is the right one. */
async function compare(side: Side, client: Client): Promise<void> {
  const canonical = (record: Record<string, unknown[]>) =>
    JSON.stringify(
      Object.keys(record)
        .sort()
        .map((name) => [name, record[name]]),
    )
  const isRight = async (ids: readonly number[]) =>
    canonical(side.parse(JSON.parse(String(await client.post(side.body(ids)))) as never)) === canonical(expected(ids))
  const edges = [0, ENTITIES - 1, ...idsOf(20)]
  for (let waitedMs = 0; !(await isRight(edges)); waitedMs += 500) {
    if (waitedMs > START_MS) throw new Error(`${side.name} does not answer with the right values`)
    await setTimeout(500)
  }
  for (const ids of idsBySize.get(1)!.slice(0, 20)) {
    if (!(await isRight(ids))) throw new Error(`${side.name} answers wrongly for ${ids}`)
  }
}

interface Tally {
  readonly latenciesMs: number[]
  cpuMs: number
}

async function slice(subject: Subject, client: Client, bodies: readonly string[], ms: number, tally: Tally) {
  const cpuBefore = cpuMs(subject.pid)
  const startMs = performance.now()
  for (let i = 0; performance.now() - startMs < ms; i++) {
    const sentMs = performance.now()
    await client.post(bodies[i % bodies.length]!)
    tally.latenciesMs.push(performance.now() - sentMs)
  }
  tally.cpuMs += cpuMs(subject.pid) - cpuBefore
}

async function round(): Promise<Record<string, Figures>> {
  const running: { side: Side; subject: Subject; client: Client }[] = []
  const figures: Record<string, Record<string, number>> = {}
  try {
    for (const side of sides) {
      const subject = await side.start()
      const client = new Client(subject.url + side.path)
      running.push({ side, subject, client })
      figures[side.name] = {}
      await compare(side, client)
    }
    await settled()
    for (const size of SIZES) {
      const bodies = running.map(({ side }) => idsBySize.get(size)!.map(side.body))
      const tallies = running.map((): Tally => ({ latenciesMs: [], cpuMs: 0 }))
      for (const [i, { subject, client }] of running.entries())
        await slice(subject, client, bodies[i]!, Math.min(2000, sliceMs), { latenciesMs: [], cpuMs: 0 })
      // In turns, so that what else the machine does meets all alike.
      for (let spentMs = 0; spentMs < sliceMs; spentMs += 2500)
        for (const [i, { subject, client }] of running.entries())
          await slice(subject, client, bodies[i]!, Math.min(2500, sliceMs), tallies[i]!)
      for (const [i, { side }] of running.entries()) {
        const { latenciesMs, cpuMs } = tallies[i]!
        const sorted = latenciesMs.sort((a, b) => a - b)
        const of = figures[side.name]!
        of[`x${size} p50Ms`] = sorted[Math.floor(sorted.length * 0.5)]!
        of[`x${size} p99Ms`] = sorted[Math.floor(sorted.length * 0.99)]!
        of[`x${size} cpuMsPerRequest`] = cpuMs / sorted.length
        of[`x${size} requests`] = sorted.length
      }
    }
    return figures
  } finally {
    for (const { subject, client } of running) {
      client.close()
      await subject.stop()
    }
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
try {
  for (let i = 0; i < rounds; i++)
    for (const [name, figures] of Object.entries(await round())) {
      results[name] ??= []
      results[name].push(figures)
    }
} finally {
  rmSync(project, { recursive: true, force: true })
  if (values.repository === undefined) rmSync(repository, { recursive: true, force: true })
}
publish(
  makeReport(
    'features-online',
    'How long does it take to read 250 features of 1 and of 100 entities over HTTP?',
    machine,
    results,
  ),
)
