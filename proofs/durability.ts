// kill -9 at random moments under load: what was acknowledged must be in the log, once, and every restart must be clean.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Subject, startScript } from '../bench/support/servers.js'
import { type Random, seededRandom } from '../dist/core/index.js'
import { readRecords } from '../dist/log/index.js'
import type { Proof } from './proof.js'

const project = new URL('./support/durability/', import.meta.url).pathname
const CONNECTIONS = 16
const READY_LIMIT_MS = 15_000

interface Acknowledged {
  /** Answered 200 by an endpoint with ack: 'before-reply'. */
  readonly predictions: Set<string>
  /** Answered 200 by the decisions API: number → hash. */
  readonly decisions: Map<number, string>
}

export const proof = durability(
  'Killed at any moment under load, the server loses and duplicates nothing it acknowledged, and starts again cleanly.',
  1,
)

export function durability(claim: string, processes: number): Proof {
  return {
    claim,
    fullCount: 200,
    async run({ count, seed, progress }) {
      const random = seededRandom(seed)
      const dataDir = await mkdtemp(path.join(tmpdir(), 'headrace-durability-'))
      const acknowledged: Acknowledged = { predictions: new Set(), decisions: new Map() }
      const failures: string[] = []
      let slowestStartMs = 0
      try {
        for (let round = 1; round <= count && failures.length < 10; round++) {
          const startedMs = performance.now()
          const server = await start(dataDir, processes)
          slowestStartMs = Math.max(slowestStartMs, performance.now() - startedMs)
          await killUnderLoad(server, processes, random, acknowledged)
          progress(round)
        }
        failures.push(...(await verify(dataDir, processes, acknowledged)))
      } catch (error) {
        failures.push(`a restart was not clean: ${error instanceof Error ? error.message : error}`)
      } finally {
        await rm(dataDir, { recursive: true, force: true })
      }
      return {
        failures,
        figures: {
          kills: processes === 1 ? count : 2 * count,
          acknowledgedPredictions: acknowledged.predictions.size,
          acknowledgedDecisions: acknowledged.decisions.size,
          slowestStartMs: Math.round(slowestStartMs),
        },
      }
    },
  }
}

async function start(dataDir: string, processes: number): Promise<Subject> {
  const script = processes === 1 ? 'headrace-child.mjs' : 'headrace-group-child.mjs'
  const starting = startScript(new URL(`../bench/support/${script}`, import.meta.url), [project], {
    HEADRACE_STORE_DATA_DIR: dataDir,
    HEADRACE_SERVER_PROCESSES: String(processes),
    HEADRACE_SERVER_PORT: '0',
    // That a worker was killed is no news here.
    HEADRACE_SERVER_LOG_LEVEL: processes === 1 ? 'warn' : 'silent',
  })
  const late = sleep(READY_LIMIT_MS * processes, undefined, { ref: false }).then(() => {
    throw new Error(`not ready within ${READY_LIMIT_MS * processes} ms`)
  })
  const server = await Promise.race([starting, late])
  // The routes beside prediction load after the models: decisions are to be under way from the first moment.
  await (await fetch(`${server.url}/api/v1/status`)).text()
  return server
}

/** Load from several connections until the process is killed, 0 to 400 ms after the first answer; one of its workers before it. */
async function killUnderLoad(
  server: Subject,
  processes: number,
  random: Random,
  acknowledged: Acknowledged,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS + 1 })
  let isDead = false
  const predict = async () => {
    while (!isDead) {
      const answer = await send(agent, `${server.url}/api/v1/predict/durable`, 'POST', PREDICT_BODY)
      if (answer?.status === 200) acknowledged.predictions.add((JSON.parse(answer.body) as { id: string }).id)
    }
  }
  const decide = async () => {
    for (let version = 1; !isDead; version = version === 1 ? 2 : 1) {
      const answer = await send(
        agent,
        `${server.url}/api/v1/models/fraud/aliases/champion`,
        'PUT',
        JSON.stringify({ version }),
      )
      if (answer?.status !== 200) continue
      const decision = JSON.parse(answer.body) as { number: number; hash: string }
      acknowledged.decisions.set(decision.number, decision.hash)
    }
  }
  const load = [...Array.from({ length: CONNECTIONS }, predict), decide()]
  await sleep(random.next() * 400)
  if (processes > 1) {
    const workers = await childrenOf(server.pid)
    process.kill(workers[Math.floor(random.next() * workers.length)]!, 'SIGKILL')
    await sleep(random.next() * 400)
  }
  process.kill(server.pid, 'SIGKILL')
  isDead = true
  await Promise.all(load)
  agent.destroy()
}

async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('pgrep', ['-P', String(pid)])
  return stdout.trim().split('\n').map(Number)
}

const PREDICT_BODY = JSON.stringify({
  inputs: {
    amount: 12.5,
    country: 'DE',
    card_age_days: 300,
    account_age_days: 400,
    items: 2,
    hour: 13,
    is_new_device: 0,
    payment_method: 'card',
    shipping_matches_billing: 1,
    payments_last_24h: 1,
  },
})

/** The answer, or undefined when the connection broke first: then nothing was acknowledged. */
function send(
  agent: Agent,
  url: string,
  method: string,
  body: string,
): Promise<{ status: number; body: string } | undefined> {
  return new Promise((resolve) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
    const outgoing = request(url, { method, agent, headers }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode!, body: text }))
      response.on('error', () => resolve(undefined))
      response.on('close', () => resolve(undefined))
    })
    outgoing.on('error', () => resolve(undefined))
    outgoing.end(body)
  })
}

/** Starts once more, checks the decisions over HTTP, stops in good order, and reads the whole log. */
async function verify(dataDir: string, processes: number, { predictions, decisions }: Acknowledged): Promise<string[]> {
  const failures: string[] = []
  const server = await start(dataDir, processes)
  try {
    const chain = await get<{ ok: boolean }>(server, 'verify')
    if (!chain.ok) failures.push(`the decision chain is broken: ${JSON.stringify(chain)}`)
    const kept = await allDecisions(server)
    for (const [number, hash] of decisions)
      if (kept.get(number) !== hash) failures.push(`decision ${number} was acknowledged and is gone or different`)
  } finally {
    await server.stop()
  }
  const seen = new Map<string, number>()
  let last = 0
  for await (const record of readRecords(path.join(dataDir, 'log'))) {
    if (record.seq <= last) failures.push(`position ${record.seq} comes after ${last}`)
    last = record.seq
    if (record.kind === 'prediction') seen.set(record.id, (seen.get(record.id) ?? 0) + 1)
  }
  for (const id of predictions)
    if (!seen.has(id)) failures.push(`prediction ${id} was acknowledged and is not in the log`)
  for (const [id, times] of seen) if (times > 1) failures.push(`prediction ${id} is in the log ${times} times`)
  return failures
}

/** Hashes by number, page by page. */
async function allDecisions(server: Subject): Promise<Map<number, string>> {
  const kept = new Map<number, string>()
  let query = '?limit=1000'
  for (;;) {
    const { decisions } = await get<{ decisions: { number: number; hash: string }[] }>(server, query)
    for (const { number, hash } of decisions) kept.set(number, hash)
    if (decisions.length === 0) return kept
    query = `?limit=1000&before=${decisions.at(-1)!.number}`
  }
}

async function get<T>(server: Subject, what: string): Promise<T> {
  const response = await fetch(`${server.url}/api/v1/decisions${what.startsWith('?') ? '' : '/'}${what}`)
  if (!response.ok) throw new Error(`the decisions API answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as T
}
