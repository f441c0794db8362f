import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { loadProject, openEngines } from '../../dist/app/index.js'
import { createPlatform, type Digest } from '../../dist/core/index.js'
import { blobKey } from '../../dist/registry/index.js'
import { mlpModel } from '../../test/support/onnx-models.js'
import { postgresMissing, startPostgres } from '../../test/support/postgres.js'
import { cpuMs } from '../support/cpu.js'
import { describeMachine, type Figures, makeReport, median, publish } from '../support/report.js'
import { type Subject, startHeadrace } from '../support/servers.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    models: { type: 'string', default: '1000' },
    versions: { type: 'string', default: '10' },
    decisions: { type: 'string', default: '20' },
  },
})
const rounds = Number(values.rounds)
const models = Number(values.models)
const versions = Number(values.versions)
const decisions = Number(values.decisions)
const BURST = 20

const missing = postgresMissing()
if (missing !== undefined) throw new Error(missing)
const postgres = await startPostgres()
const folder = await mkdtemp(path.join(tmpdir(), 'headrace-propagation-'))
await mkdir(path.join(folder, 'models'))
const config = { models: { folder: './models' }, serving: { pool: { load: 'lazy' } } }
await writeFile(path.join(folder, 'headrace.config.mjs'), `export default ${JSON.stringify(config)}\n`)

const nameOf = (number: number) => `model-${number}`

/** One version by the registry itself; the others are its rows under other names and numbers. */
async function register(): Promise<void> {
  const dataDir = path.join(folder, 'seed')
  const project = await loadProject(folder, {
    environment: { DATABASE_URL: postgres.url, HEADRACE_STORE_DATA_DIR: dataDir },
  })
  const engines = await openEngines(project, createPlatform())
  const bytes = mlpModel({ inputs: 4, hidden: [4], outputs: 2, seed: 1 })
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest
  await engines.blobs.put(blobKey(digest), Readable.from([Buffer.from(bytes)]), digest)
  await engines.services.registry.registerVersion({
    model: nameOf(1),
    files: [{ path: 'model.onnx', digest, sizeBytes: bytes.length }],
    source: 'bench',
    by: { kind: 'person', name: 'bench' },
  })
  await engines.close()
  const client = new Client(postgres.url)
  await client.connect()
  for (const table of ['registry_versions', 'registry_artifacts', 'registry_files']) {
    const { rows } = await client.query<{ column_name: string }>(
      'select column_name from information_schema.columns where table_name = $1',
      [table],
    )
    const columns = rows.map(({ column_name }) => column_name)
    const copied = columns.map((name) =>
      name === 'model' ? `'model-' || m` : name === 'version' ? 'v' : `t."${name}"`,
    )
    await client.query(
      `insert into ${table} (${columns.map((name) => `"${name}"`).join(', ')}) select ${copied.join(', ')}
       from ${table} t, generate_series(1, $1::int) m, generate_series(1, $2::int) v where not (m = 1 and v = 1)`,
      [models, versions],
    )
  }
  await client.query(
    `insert into registry_models select 'model-' || m, 'model-' || m, description, owner, team, created_ms, updated_ms, created_by, deleted_ms
     from registry_models, generate_series(2, $1::int) m`,
    [models],
  )
  await client.query('analyze')
  await client.end()
}

async function start(): Promise<{ subject: Subject; startMs: number; startCpuMs: number }> {
  const startMs = performance.now()
  const subject = await startHeadrace(folder, { DATABASE_URL: postgres.url })
  return { subject, startMs: performance.now() - startMs, startCpuMs: cpuMs(subject.pid) }
}

async function decide({ url }: Subject, model: number, version: number): Promise<void> {
  const reply = await fetch(`${url}/api/v1/models/${nameOf(model)}/aliases/bench`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ version }),
  })
  if (reply.status !== 200) throw new Error(`a decision was answered ${reply.status}: ${await reply.text()}`)
  await reply.text()
}

/** The number that the node's own report gives costs a query: what a pinned call resolves to is what it applies. */
async function follows({ url }: Subject, model: number, version: number): Promise<boolean> {
  const reply = await fetch(`${url}/api/v1/models/${nameOf(model)}`)
  const { aliases } = (await reply.json()) as { aliases?: Record<string, number> }
  return aliases?.['bench'] === version
}

async function untilFollowed(other: Subject, model: number, version: number): Promise<void> {
  while (!(await follows(other, model, version))) await new Promise((resolve) => setTimeout(resolve, 2))
}

async function round(number: number): Promise<Figures> {
  const one = await start()
  const two = await start()
  try {
    const follow: number[] = []
    const answered: number[] = []
    for (let i = 0; i < decisions; i++) {
      const version = ((number + i) % versions) + 1
      const sentMs = performance.now()
      const [from, to] = i % 2 === 0 ? [one, two] : [two, one]
      await Promise.all([
        decide(from.subject, i + 1, version).then(() => answered.push(performance.now() - sentMs)),
        untilFollowed(to.subject, i + 1, version),
      ])
      follow.push(performance.now() - sentMs)
    }
    const sentMs = performance.now()
    const version = (number % versions) + 1
    await Promise.all([
      ...Array.from({ length: BURST }, (_, i) => decide(one.subject, 200 + i, version)),
      untilFollowed(two.subject, 200 + BURST - 1, version),
    ])
    return {
      startMs: one.startMs,
      startCpuMs: one.startCpuMs,
      secondStartMs: two.startMs,
      decideP50Ms: median(answered),
      followP50Ms: median(follow),
      followMaxMs: Math.max(...follow),
      burstMs: performance.now() - sentMs,
    }
  } finally {
    await Promise.all([one.subject.stop(), two.subject.stop()])
  }
}

try {
  const machine = describeMachine()
  await register()
  const figures: Figures[] = []
  for (let number = 0; number < rounds; number++) figures.push(await round(number))
  const question = `How long does a node take to start with ${models} × ${versions} registered versions, and another to follow a decision?`
  publish(makeReport('propagation', question, machine, { headrace: figures }))
} finally {
  await postgres.stop()
  await rm(folder, { recursive: true, force: true })
}
