// From the moment a guard fails to the last reply that a candidate gave: on one node, and on three over PostgreSQL of which one stands
// still meanwhile and is woken later.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { ReleaseStatus } from '../../src/release/index.js'
import { postgresMissing, startPostgres } from '../../test/support/postgres.js'
import { RULE_VERSIONS } from '../../test/support/release-server.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, loops: { type: 'string', default: '4' } },
})
const rounds = Number(values.rounds)
const loopsPerNode = Number(values.loops)
/** Replies of the candidate: its answer, and its failure. */
const CANDIDATE = 4
const CHILD = fileURLToPath(new URL('../support/headrace-child.mjs', import.meta.url))

interface Node {
  readonly url: string
  readonly process: ChildProcess
  readonly folder: string
}

/** What a client saw: when a reply of the candidate arrived, by the wall clock of this machine. */
class Traffic {
  /** Inputs above 0 fail with the candidate. */
  x = 0
  candidateReplies = 0
  replies = 0
  failures = 0
  readonly lastCandidateMs: number[]
  #isOver = false
  #unit = 0
  readonly #loops: Promise<void>[]

  constructor(nodes: readonly Node[], loops: number) {
    this.lastCandidateMs = nodes.map(() => 0)
    this.#loops = nodes.flatMap((node, index) => Array.from({ length: loops }, () => this.#loop(node, index)))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#loops)
  }

  async #loop({ url }: Node, index: number): Promise<void> {
    while (!this.#isOver) {
      const body = JSON.stringify({ inputs: { x: this.x }, unit: `unit-${this.#unit++}` })
      try {
        const response = await fetch(`${url}/api/v1/predict/shop`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        })
        const answer = (await response.json()) as { outputs?: { y?: number }; code?: string }
        this.replies++
        if (answer.outputs?.y === CANDIDATE || answer.code === 'SCRIPT_RUN_FAILED') {
          this.candidateReplies++
          this.lastCandidateMs[index] = Date.now()
        } else if (answer.outputs?.y !== 1) this.failures++
      } catch {
        this.failures++
        await pause(50)
      }
    }
  }
}

async function startNode(databaseUrl: string | undefined): Promise<Node> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-rollback-'))
  for (const version of [1, CANDIDATE]) {
    const at = join(folder, 'models', 'rule', String(version))
    mkdirSync(at, { recursive: true })
    writeFileSync(join(at, 'model.ts'), RULE_VERSIONS[version]!)
  }
  writeFileSync(
    join(folder, 'headrace.config.ts'),
    `import { defineProject, version } from 'headrace'
export default defineProject({
  server: { port: 0, grpcPort: false, logLevel: 'silent' },
  models: { settleMs: 0 },
  endpoints: { shop: { route: version('rule', 1) } },
})
`,
  )
  const child = fork(CHILD, [folder], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...(databaseUrl && { DATABASE_URL: databaseUrl }) },
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url))
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return { url, process: child, folder }
}

async function stopNode({ process: child, folder }: Node): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  rmSync(folder, { recursive: true, force: true })
}

async function call<T>(url: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const answer = (await response.json()) as T
  if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`)
  return answer
}

const statusOf = ({ url }: Node) => call<ReleaseStatus>(url, '/api/v1/releases/shop')

async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const untilMs = performance.now() + 60_000
  while (performance.now() < untilMs) {
    // A node that stands still may hold a lock of the database until that is taken from it.
    const found = await ask().catch((error: Error) => {
      if (!error.message.includes(': 503 ')) throw error
      return undefined
    })
    if (found !== undefined) return found
    await pause(20)
  }
  throw new Error(`${what} did not come to be within a minute`)
}

/** A canary of a half whose candidate begins to fail; what is measured counts from the guard's failure, which the decision names. */
async function round(nodes: readonly Node[], pausesLast: boolean): Promise<Figures> {
  const [first] = nodes
  await call(first!.url, '/api/v1/releases', { endpoint: 'shop', to: CANDIDATE, plan: 'canary:50%/1h,100%' })
  await until('a lease on every node', async () => {
    const { nodes: reports } = await statusOf(first!)
    return reports.filter(({ holdsLease }) => holdsLease).length === nodes.length ? true : undefined
  })
  const traffic = new Traffic(nodes, loopsPerNode)
  const last = nodes.length - 1
  await until('candidate replies of every node', async () =>
    traffic.lastCandidateMs.every((ms) => ms > 0) ? true : undefined,
  )
  await pause(1_000)
  if (pausesLast) nodes[last]!.process.kill('SIGSTOP')
  traffic.x = 1
  const badMs = Date.now()
  const { events } = await until('the rollback', async () => {
    const status = await statusOf(first!)
    return status.release.state === 'rolled-back' ? status : undefined
  })
  const detectedMs = events.at(-1)!.evidence['detectedMs'] as number
  await pause(5_000)
  const beforeWake = traffic.lastCandidateMs.slice(0, pausesLast ? last : nodes.length)
  let afterWake = 0
  if (pausesLast) {
    const wokenMs = Date.now()
    nodes[last]!.process.kill('SIGCONT')
    await pause(3_000)
    afterWake = traffic.lastCandidateMs[last]! >= wokenMs ? 1 : 0
  }
  await traffic.stop()
  return {
    detectionMs: detectedMs - badMs,
    rollbackMs: Math.max(0, ...beforeWake.map((ms) => ms - detectedMs)),
    repliesPerRound: traffic.replies,
    otherFailures: traffic.failures,
    ...(pausesLast && { candidateRepliesAfterWake: afterWake }),
  }
}

const machine = describeMachine()
const one: Figures[] = []
const single = await startNode(undefined)
for (let i = 0; i < rounds; i++) {
  one.push(await round([single], false))
  console.log(`one node, round ${i + 1}: ${JSON.stringify(one.at(-1))}`)
}
await stopNode(single)

const three: Figures[] = []
const missing = postgresMissing()
if (missing === undefined) {
  const postgres = await startPostgres()
  const url = await postgres.schema()
  // One after another: the first makes the tables.
  const nodes: Node[] = []
  for (let i = 0; i < 3; i++) nodes.push(await startNode(url))
  for (let i = 0; i < rounds; i++) {
    three.push(await round(nodes, true))
    console.log(`three nodes, one paused, round ${i + 1}: ${JSON.stringify(three.at(-1))}`)
  }
  for (const node of nodes) await stopNode(node)
  await postgres.stop()
} else console.log(`three nodes: skipped, ${missing}`)

const report = makeReport(
  'rollback',
  'How long after a guard has failed does the candidate give its last reply?',
  machine,
  { 'one node': one, ...(three.length > 0 && { 'three nodes, one paused': three }) },
)
publish(report)
const slow = [
  ...one.filter(({ rollbackMs }) => rollbackMs! > 1_000),
  ...three.filter(
    ({ rollbackMs, candidateRepliesAfterWake }) => rollbackMs! > 5_000 || candidateRepliesAfterWake !== 0,
  ),
]
if (slow.length > 0) {
  console.error(`Missed: ${JSON.stringify(slow)}`)
  process.exitCode = 1
}
