// An open-loop load: requests leave when the schedule says, whatever became of those before. It runs in a process of its own
// and says how late it was itself, so that nobody takes its delays for the server's.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '../../../src/core/index.js'
import { AnswerStream } from './answers.js'

export interface Stream {
  readonly name: string
  readonly ratePerSecond: number
  /** The whole request. */
  readonly request: Uint8Array
  /** An answer counts as in time when it is complete this long after its request was sent. */
  readonly deadlineMs: number
}

export interface OpenLoopOptions {
  readonly port: number
  readonly streams: readonly Stream[]
  readonly durationMs: number
  /** Arrivals are a Poisson process of this seed. */
  readonly seed: number
}

export interface StreamResult {
  readonly name: string
  readonly sent: number
  /** Answers by status; `0` is a connection that broke or never answered. */
  readonly byStatus: Readonly<Record<string, number>>
  /** 200 within the deadline. */
  readonly inTime: number
  readonly okP50Ms: number
  readonly okP99Ms: number
  /** Answers 429 without Retry-After. */
  readonly withoutRetryAfter: number
  /** From sending a request to the whole 429. */
  readonly refusalP50Ms: number
  readonly refusalP99Ms: number
  readonly refusalMaxMs: number
}

export interface OpenLoopResult {
  readonly streams: readonly StreamResult[]
  /** How long after its time a request was sent: the generator's own delay. */
  readonly lagP99Ms: number
  /** Opened in all. */
  readonly connections: number
}

class Tally {
  sent = 0
  inTime = 0
  withoutRetryAfter = 0
  readonly byStatus: Record<string, number> = {}
  readonly ok = createHistogram()
  readonly refusals = createHistogram()
  constructor(readonly stream: Stream) {}

  result(): StreamResult {
    const { sent, byStatus, inTime, withoutRetryAfter, ok, refusals } = this
    return {
      name: this.stream.name,
      sent,
      byStatus,
      inTime,
      withoutRetryAfter,
      okP50Ms: ms(ok, 50),
      okP99Ms: ms(ok, 99),
      refusalP50Ms: ms(refusals, 50),
      refusalP99Ms: ms(refusals, 99),
      refusalMaxMs: refusals.max / 1e6 || 0,
    }
  }
}

const ms = (histogram: RecordableHistogram, percentile: number): number =>
  histogram.count === 0 ? 0 : histogram.percentile(percentile) / 1e6

const nanoseconds = (durationMs: number): number => Math.max(1, Math.round(durationMs * 1e6))

class Channel {
  readonly socket: Socket
  #tally: Tally | undefined
  #sentMs = 0
  #isClosed = false

  constructor(
    port: number,
    private readonly idle: Channel[],
    private readonly onEnd: () => void,
  ) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const stream = new AnswerStream(({ status, head }) => this.#answered(status, head))
    this.socket.on('data', (chunk: Buffer) => stream.push(chunk))
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.#isClosed = true
      const at = idle.indexOf(this)
      if (at >= 0) idle.splice(at, 1)
      if (this.#tally !== undefined) this.#answered(0, '')
    })
  }

  send(tally: Tally): void {
    this.#tally = tally
    tally.sent++
    this.#sentMs = performance.now()
    this.socket.write(tally.stream.request)
  }

  #answered(status: number, head: string): void {
    const tally = this.#tally
    // A connection that was opened ahead and not used gets 408, and is closed.
    if (tally === undefined) return
    this.#tally = undefined
    const tookMs = performance.now() - this.#sentMs
    tally.byStatus[status] = (tally.byStatus[status] ?? 0) + 1
    if (status === 200) {
      tally.ok.record(nanoseconds(tookMs))
      if (tookMs <= tally.stream.deadlineMs) tally.inTime++
    } else if (status === 429) {
      tally.refusals.record(nanoseconds(tookMs))
      if (!/\r\nretry-after: *\d+/i.test(head)) tally.withoutRetryAfter++
    }
    if (!this.#isClosed) this.idle.push(this)
    this.onEnd()
  }
}

/** As many connections are open at the start as requests leave in this time; more are opened when they are needed. */
const READY_SECONDS = 0.6
const MAX_READY = 2000
/** Time for the last answers after the last request was sent. */
const LAST_ANSWERS_MS = 10_000

function run({ port, streams, durationMs, seed }: OpenLoopOptions): Promise<OpenLoopResult> {
  const random = seededRandom(seed)
  const tallies = streams.map((stream) => new Tally(stream))
  const total = streams.reduce((sum, { ratePerSecond }) => sum + ratePerSecond, 0)
  const idle: Channel[] = []
  const all: Channel[] = []
  const lag = createHistogram()
  let inFlight = 0
  let isOver = false
  const pick = (): Tally => {
    let point = random.next() * total
    for (const tally of tallies) {
      point -= tally.stream.ratePerSecond
      if (point < 0) return tally
    }
    return tallies.at(-1)!
  }
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(late)
      for (const { socket } of all) socket.destroy()
      const results = tallies.map((tally) => tally.result())
      resolve({ streams: results, lagP99Ms: ms(lag, 99), connections: all.length })
    }
    const onEnd = () => {
      inFlight--
      if (isOver && inFlight === 0) finish()
    }
    let late: NodeJS.Timeout | undefined
    let startMs = 0
    const gapMs = () => (-Math.log(1 - random.next()) * 1000) / total
    let dueMs = 0
    const tick = () => {
      const nowMs = performance.now()
      while (dueMs <= nowMs && dueMs < startMs + durationMs) {
        // In turn: one that is left unused from the start is closed by the server after a while.
        let channel = idle.shift()
        if (channel === undefined) {
          channel = new Channel(port, idle, onEnd)
          all.push(channel)
        }
        inFlight++
        channel.send(pick())
        lag.record(nanoseconds(performance.now() - dueMs))
        dueMs += gapMs()
      }
      if (dueMs < startMs + durationMs) setTimeout(tick, 1)
      else {
        isOver = true
        late = setTimeout(finish, LAST_ANSWERS_MS)
        process.send?.({ over: true })
        if (inFlight === 0) finish()
      }
    }
    // Clients of a service have their connections: a thousand handshakes at once are no part of the question.
    const ready = Array.from(
      { length: Math.min(MAX_READY, Math.ceil(total * READY_SECONDS)) },
      () => new Channel(port, idle, onEnd),
    )
    all.push(...ready)
    void Promise.all(ready.map(({ socket }) => once(socket, 'connect'))).then(() => {
      idle.push(...ready)
      startMs = performance.now()
      dueMs = startMs + gapMs()
      tick()
    })
  })
}

/** Runs the load in a process of its own; `onOver` is called when its last request has been sent. */
export function openLoop(options: OpenLoopOptions, onOver: () => void = () => {}): Promise<OpenLoopResult> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--generate'], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      serialization: 'advanced',
    })
    child.on('message', (message: { over: true } | OpenLoopResult) => {
      if ('over' in message) onOver()
      else resolve(message)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`The load generator ended with status ${code} and no result.`)))
    child.send(options)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--generate') {
  process.once('message', (options) => {
    run(options as OpenLoopOptions).then((result) => process.send!(result, () => process.exit(0)))
  })
}
