// A real server, started as a user starts it, and a user who never stops asking: what a drill breaks, and what the user saw.
import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { linearModel } from '../../../test/support/onnx-models.js'

const BIN = fileURLToPath(new URL('../../../bin/headrace.js', import.meta.url))
const CONFIG = fileURLToPath(new URL('./headrace.config.ts', import.meta.url))
/** Between two requests of the user. */
const EVERY_MS = 10
const LIMIT_MS = 30_000

/** What one request saw. */
export interface Seen {
  readonly sentMs: number
  readonly endedMs: number
  /** 0 when the connection broke. */
  readonly status: number
  readonly code: string | undefined
  /** The number that was answered; the drill's models multiply by their version. */
  readonly value: number | undefined
}

export class Stage {
  url = ''
  #server: ChildProcess | undefined

  private constructor(
    readonly folder: string,
    private readonly args: readonly string[],
    private readonly environment: NodeJS.ProcessEnv,
  ) {}

  static async open(args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'headrace-drill-'))
    const stage = new Stage(folder, args, environment)
    await cp(CONFIG, join(folder, 'headrace.config.ts'))
    await stage.addModel('echo', 1, linearModel([1]), { isolation: 'thread' })
    await stage.addModel('echo', 2, linearModel([2]), { isolation: 'thread', timeoutMs: 2000 })
    // Their hangs are let last for less and for more than twice their limit.
    await stage.addModel('stuck', 1, linearModel([2]), { isolation: 'thread', timeoutMs: 1000 })
    await stage.addModel('moving', 1, linearModel([2]), { isolation: 'thread', timeoutMs: 300 })
    await stage.addModel('apart', 1, linearModel([2]), { isolation: 'process' })
    await stage.addModel('busy', 1, linearModel([1]), {
      isolation: 'thread',
      batching: { maxBatchSize: 4, maxQueueRows: 16 },
    })
    await stage.start()
    return stage
  }

  async addModel(model: string, version: number, bytes: Uint8Array, manifest?: object): Promise<string> {
    const folder = join(this.folder, 'models', model, String(version))
    await mkdir(folder, { recursive: true })
    if (manifest) await writeFile(join(folder, 'model.json'), JSON.stringify(manifest))
    await writeFile(join(folder, 'model.onnx'), bytes)
    return folder
  }

  /** Resolves when the models are loaded. */
  async start(): Promise<void> {
    const port = this.url === '' ? '0' : new URL(this.url).port
    const args = [
      BIN,
      'serve',
      this.folder,
      '--chaos',
      '--threads',
      '2',
      '--port',
      port,
      '--json',
      '--log-level',
      'silent',
      ...this.args,
    ]
    const server = spawn(process.execPath, args, {
      env: { ...process.env, ...this.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#server = server
    const line = new Promise<string>((resolve) => createInterface({ input: server.stdout! }).once('line', resolve))
    const ended = new Promise<never>((_, reject) =>
      server.once('exit', (code) => reject(new Error(`the server ended with status ${code}`))),
    )
    ended.catch(() => {})
    this.url = (JSON.parse(await Promise.race([line, ended])) as { url: string }).url
  }

  async kill(): Promise<void> {
    const server = this.#server!
    const ended = new Promise((resolve) => server.once('exit', resolve))
    server.kill('SIGKILL')
    await ended
  }

  async close(): Promise<void> {
    const server = this.#server!
    if (server.exitCode === null && server.signalCode === null) {
      const ended = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGTERM')
      await ended
    }
    await rm(this.folder, { recursive: true, force: true })
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: { connection: 'close', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
    return JSON.parse(text) as T
  }

  /** Injects a fault for as long as the drill needs; returns when it is in force. */
  async inject(fault: string, body: object = {}): Promise<void> {
    await this.call('POST', `/api/v1/chaos/${fault}`, body)
  }

  async heal(): Promise<void> {
    await this.call('DELETE', '/api/v1/chaos/faults')
  }

  /** One sample of the metrics; 0 when there is none yet, NaN when the process that was asked ended. */
  async metric(name: string): Promise<number> {
    const answer = fetch(`${this.url}/metrics`, { headers: { connection: 'close' } })
    const text = await answer.then((response) => response.text()).catch(() => undefined)
    if (text === undefined) return Number.NaN
    const line = text.split('\n').find((other) => other.startsWith(`${name} `))
    return line === undefined ? 0 : Number(line.slice(name.length + 1))
  }

  /** Milliseconds from `sinceMs` until something is so. */
  async until(sinceMs: number, what: string, holds: () => boolean | Promise<boolean>): Promise<number> {
    while (performance.now() - sinceMs < LIMIT_MS) {
      if (await holds()) return performance.now() - sinceMs
      await sleep(5)
    }
    throw new Error(`${what} was not seen within ${LIMIT_MS} ms`)
  }
}

/** Of the questions that nobody has asked before. */
let newest = 1000

/** Asks an endpoint every ten milliseconds, whatever became of the questions before. */
export class User {
  readonly seen: Seen[] = []
  readonly #agent = new Agent({ keepAlive: true })
  readonly #timer: NodeJS.Timeout
  #open = 0

  constructor(
    private readonly stage: Stage,
    private readonly endpoint: string,
    everyMs = EVERY_MS,
    /** Whether each question is another one. */
    private readonly isNew = false,
  ) {
    this.#timer = setInterval(() => this.#ask(), everyMs)
  }

  /** Milliseconds from `sinceMs` until the first answer, to a question asked after it, that is as described. */
  async first(sinceMs: number, what: string, is: (seen: Seen) => boolean): Promise<number> {
    let found: Seen | undefined
    await this.stage.until(sinceMs, what, () => {
      found = this.seen.find((seen) => seen.sentMs >= sinceMs && is(seen))
      return found !== undefined
    })
    return found!.endedMs - sinceMs
  }

  /** Milliseconds from `sinceMs` until answers are as described for good: twenty in a row. */
  async steady(sinceMs: number, what: string, is: (seen: Seen) => boolean): Promise<number> {
    let start: Seen | undefined
    await this.stage.until(sinceMs, what, () => {
      const since = this.seen.filter(({ sentMs }) => sentMs >= sinceMs).sort((a, b) => a.sentMs - b.sentMs)
      const lastOther = since.findLastIndex((seen) => !is(seen))
      if (since.length - lastOther <= 20) return false
      start = since[lastOther + 1]
      return true
    })
    return Math.max(0, start!.endedMs - sinceMs)
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    while (this.#open > 0) await sleep(5)
    this.#agent.destroy()
  }

  #ask(): void {
    const sentMs = performance.now()
    this.#open++
    let isOver = false
    const end = (status: number, text: string) => {
      if (isOver) return
      isOver = true
      this.#open--
      const code = /"code":"([A-Z0-9_]+)"/.exec(text)?.[1]
      const value = status === 200 ? firstValue(text) : undefined
      this.seen.push({ sentMs, endedMs: performance.now(), status, code, value })
    }
    const outgoing = request(
      `${this.stage.url}/v2/models/${this.endpoint}/infer`,
      { method: 'POST', agent: this.#agent, headers: { 'Content-Type': 'application/json' }, timeout: LIMIT_MS },
      (response) => {
        let text = ''
        response.on('data', (chunk) => (text += chunk))
        response.on('end', () => end(response.statusCode!, text))
        response.on('close', () => end(0, ''))
      },
    )
    outgoing.on('timeout', () => outgoing.destroy())
    outgoing.on('error', () => end(0, ''))
    outgoing.end(bodyFor(this.isNew ? ++newest : 10))
  }
}

export function bodyFor(x: number): string {
  return JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [x] }] })
}

function firstValue(text: string): number | undefined {
  const { outputs } = JSON.parse(text) as { outputs: { data: number[] }[] }
  return outputs[0]?.data[0]
}
