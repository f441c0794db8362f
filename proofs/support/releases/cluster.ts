// Three servers on one PostgreSQL, and everything that befalls them. When it did is kept: what a reply may be depends on it.
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.js'

/** By this machine's wall clock, as the servers' own. `endMs` is infinite while it lasts. */
export interface Span {
  readonly startMs: number
  endMs: number
}

export interface Answer {
  readonly status: number
  readonly text: string
}

/** Of the model that is released. Each takes a thread of each server. */
export const VERSIONS = [1, 2, 3] as const

const CHILD = fileURLToPath(new URL('../../../bench/support/headrace-child.mjs', import.meta.url))
const START_MS = 60_000
const MOST_TRIES = 5

const script = (row: string) => `import { defineScript } from 'headrace'
export default defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row: ({ x }) => { ${row} } })
`

/** Each version answers its number, and fails for it. What fails is answered by the model `spare`, with 0. */
function writeProject(folder: string): void {
  const write = (model: string, version: number, row: string) => {
    const at = join(folder, 'models', model, String(version))
    mkdirSync(at, { recursive: true })
    writeFileSync(join(at, 'model.ts'), script(row))
  }
  write('spare', 1, 'return { y: x * 0 }')
  for (const version of VERSIONS)
    write('rule', version, `if (x === ${version}) throw new Error('bad'); return { y: ${version} }`)
  writeFileSync(
    join(folder, 'headrace.config.ts'),
    `import { defineProject, fallback, version } from 'headrace'
export default defineProject({
  server: { port: 0, grpcPort: false, logLevel: process.env['HEADRACE_PROOF_LOG'] ?? 'silent' },
  models: { settleMs: 0 },
  endpoints: {
    shop: {
      route: fallback({ name: 'safe', arms: [version('rule', { alias: 'champion' }), version('spare', 1)] }),
      deadlineMs: 60_000,
      release: { guards: { latency: { quantiles: [] }, outputs: { enabled: false } } },
    },
  },
})
`,
  )
}

export class Node {
  /** Grows with each start. */
  run = 0
  url = ''
  readonly stops: Span[] = []
  /** From the kill until it is ready again. */
  readonly downs: Span[] = []
  slowestStartMs = 0
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 })
  #child: ChildProcess | undefined

  constructor(
    readonly index: number,
    private readonly project: string,
    private readonly dataDir: string,
    private readonly databaseUrl: string,
  ) {}

  get isDown(): boolean {
    return this.#child === undefined
  }

  /** What leaders are known by. */
  get id(): string {
    const file = join(this.dataDir, 'node-id')
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
  }

  /** Ready with all versions. */
  async start(): Promise<void> {
    const startedMs = performance.now()
    let child = await this.#begin()
    // A machine that is asked too much does not load a script in time; that is not what is tried here.
    for (let tries = 0; !(await this.#hasAll()) && tries < MOST_TRIES; tries++) {
      child.kill('SIGKILL')
      child = await this.#begin()
    }
    this.slowestStartMs = Math.max(this.slowestStartMs, performance.now() - startedMs)
    this.#child = child
    this.run++
    const down = this.downs.at(-1)
    if (down) down.endMs = Date.now()
  }

  async #hasAll(): Promise<boolean> {
    const paths = [
      '/v2/models/spare/versions/1/ready',
      ...VERSIONS.map((one) => `/v2/models/rule/versions/${one}/ready`),
    ]
    const answers = await Promise.all(paths.map((path) => this.send('GET', path)))
    return answers.every((answer) => answer?.status === 200)
  }

  async #begin(): Promise<ChildProcess> {
    const child = fork(CHILD, [this.project], {
      execArgv: [],
      stdio: ['ignore', process.env['HEADRACE_PROOF_LOG'] === undefined ? 'ignore' : 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, DATABASE_URL: this.databaseUrl, HEADRACE_STORE_DATA_DIR: this.dataDir },
    })
    this.url = await new Promise<string>((resolve, reject) => {
      const late = setTimeout(() => {
        child.kill('SIGKILL')
        reject(new Error(`node ${this.index} was not ready within ${START_MS} ms`))
      }, START_MS)
      child.once('message', (message: { url: string }) => {
        clearTimeout(late)
        resolve(message.url)
      })
      child.once('exit', (code, signal) => {
        clearTimeout(late)
        reject(new Error(`node ${this.index} ended with ${code ?? signal} before it was ready`))
      })
    })
    return child
  }

  /** As a crash, whether it stands still or not. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    this.downs.push({ startMs: Date.now(), endMs: Number.POSITIVE_INFINITY })
    this.#child = undefined
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    const stop = this.stops.at(-1)
    if (stop) stop.endMs = Math.min(stop.endMs, Date.now())
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
    this.stops.push({ startMs: Date.now(), endMs: Number.POSITIVE_INFINITY })
  }

  thaw(): void {
    const stop = this.stops.at(-1)!
    stop.endMs = Math.min(stop.endMs, Date.now())
    this.#child?.kill('SIGCONT')
  }

  /** undefined when the connection broke before the answer was there. */
  send(method: string, path: string, body?: object, actor = 'proof'): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const headers = {
        'headrace-actor': actor,
        ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      }
      const outgoing = request(`${this.url}${path}`, { method, agent: this.#agent, headers }, (response) => {
        let answer = ''
        response.on('data', (chunk) => (answer += chunk))
        response.on('end', () => resolve({ status: response.statusCode!, text: answer }))
        response.on('error', () => resolve(undefined))
        response.on('close', () => resolve(undefined))
      })
      outgoing.on('error', () => resolve(undefined))
      outgoing.end(text)
    })
  }

  async get<T>(path: string): Promise<T> {
    const answer = await this.send('GET', path)
    if (answer?.status !== 200)
      throw new Error(`node ${this.index}, ${path}: ${answer === undefined ? 'no answer' : answer.text}`)
    return JSON.parse(answer.text) as T
  }
}

export class Cluster {
  /** While PostgreSQL answers nobody. */
  readonly outages: Span[] = []

  private constructor(
    readonly nodes: readonly Node[],
    readonly databaseUrl: string,
    private readonly postgres: TestPostgres,
    private readonly folder: string,
  ) {}

  static async start(): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-releases-'))
    writeProject(folder)
    const postgres = await startPostgres()
    const databaseUrl = await postgres.schema()
    const nodes = [0, 1, 2].map((i) => new Node(i, folder, join(folder, `data-${i}`), databaseUrl))
    for (const node of nodes) await node.start()
    return new Cluster(nodes, databaseUrl, postgres, folder)
  }

  freezePostgres(): void {
    this.postgres.freeze()
    this.#fails()
  }

  thawPostgres(): void {
    this.#answers()
    this.postgres.thaw()
  }

  async killPostgres(): Promise<void> {
    await this.postgres.kill()
    this.#fails()
  }

  async restartPostgres(): Promise<void> {
    // It may answer before it says that it does.
    this.#answers()
    await this.postgres.start()
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.kill()
    await this.postgres.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  #fails(): void {
    this.outages.push({ startMs: Date.now(), endMs: Number.POSITIVE_INFINITY })
  }

  #answers(): void {
    this.outages.at(-1)!.endMs = Date.now()
  }
}
