// A load of many kinds of request from clients that come, go, pipeline and hang up. It runs in a process of its own and keeps
// count of everything it sent and got.
import { fork } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Random, seededRandom } from '../../../src/core/index.js'
import { type Answer, AnswerStream } from './answers.js'

export interface Kind {
  readonly name: string
  /** How often, beside the others. */
  readonly weight: number
  readonly request: Uint8Array
  /** What every answer must be; an error code for those that are refused. */
  readonly expected: { readonly status: number; readonly code?: string }
}

export interface MixedLoadOptions {
  readonly port: number
  readonly count: number
  readonly connections: number
  /** Most requests sent at once on a connection, before their answers are read. */
  readonly pipelined: number
  /** Shares of the bursts after which, or in which, a client goes away. */
  readonly aborts: { readonly inBody: number; readonly inQueue: number; readonly inAnswer: number }
  /** Share of the bursts after which a client opens a new connection. */
  readonly fresh: number
  readonly seed: number
  readonly kinds: readonly Kind[]
}

export interface MixedLoadResult {
  readonly sent: number
  readonly connections: number
  /** Requests by the way their client went away. */
  readonly aborted: { readonly inBody: number; readonly inQueue: number; readonly inAnswer: number }
  /** Requests of bursts that were cut off, whose answers nobody saw: the server may have counted them or not. */
  readonly unseen: number
  /** Answers by error code, `ok` for 200. */
  readonly answered: Readonly<Record<string, number>>
  /** Answers by kind. */
  readonly byKind: Readonly<Record<string, number>>
  readonly failures: readonly string[]
}

/** A client that has heard nothing for so long has been forgotten by the server. */
const FORGOTTEN_MS = 30_000
const BURSTS = 512

interface Burst {
  readonly kinds: readonly Kind[]
  readonly bytes: Buffer
  /** Where the last request's body is cut when the client goes away in the middle of it. */
  readonly cutAt: number
}

type Ending = 'answers' | 'inBody' | 'inQueue' | 'inAnswer'

function run(options: MixedLoadOptions, onProgress: (sent: number) => void): Promise<MixedLoadResult> {
  const { port, count, connections, aborts, fresh } = options
  const random = seededRandom(options.seed)
  // Picked from rather than made each time: making them would be most of this process's work.
  const bursts = Array.from({ length: BURSTS }, () => makeBurst(options, random))
  const aborted = { inBody: 0, inQueue: 0, inAnswer: 0 }
  const answered: Record<string, number> = {}
  const byKind: Record<string, number> = {}
  const failures: string[] = []
  let sent = 0
  let opened = 0
  let unseen = 0

  function ending(): Ending {
    const point = random.next()
    if (point < aborts.inBody) return 'inBody'
    if (point < aborts.inBody + aborts.inQueue) return 'inQueue'
    return point < aborts.inBody + aborts.inQueue + aborts.inAnswer ? 'inAnswer' : 'answers'
  }

  function note({ status, body }: Answer, kind: Kind): void {
    const code =
      status === 200 ? 'ok' : (/"code":"([A-Z0-9_]+)"/.exec(body.toString('latin1'))?.[1] ?? `status ${status}`)
    answered[code] = (answered[code] ?? 0) + 1
    byKind[kind.name] = (byKind[kind.name] ?? 0) + 1
    const { expected } = kind
    if (status !== expected.status || (expected.code !== undefined && code !== expected.code))
      failures.push(
        `${kind.name} got ${status} ${code} instead of ${expected.status} ${expected.code ?? ''}: ${body.toString('utf8', 0, 200)}`,
      )
  }

  function client(): Promise<void> {
    return new Promise((resolve) => {
      let socket: Socket | undefined
      let burst: Burst | undefined
      let seen = 0
      let isAborting = false
      let watchdog: NodeJS.Timeout | undefined

      const open = (): Socket => {
        opened++
        const made = connect({ host: '127.0.0.1', port, noDelay: true })
        const answers = new AnswerStream((answer) => {
          if (made !== socket) return
          note(answer, burst!.kinds[seen]!)
          if (++seen === burst!.kinds.length) next()
        })
        made.on('data', (chunk: Buffer) => {
          if (made !== socket) return
          if (isAborting) hangUp()
          else answers.push(chunk)
        })
        made.on('error', () => {})
        made.on('close', () => {
          if (made !== socket) return
          if (!isAborting) {
            failures.push(`the server closed a connection after ${seen} of ${burst!.kinds.length} answers`)
            unseen += burst!.kinds.length - seen
          }
          socket = undefined
          next()
        })
        return made
      }
      const hangUp = () => {
        const gone = socket
        socket = undefined
        gone?.destroy()
        next()
      }
      const next = () => {
        clearTimeout(watchdog)
        if (sent >= count || failures.length >= 20) {
          const last = socket
          socket = undefined
          last?.destroy()
          resolve()
          return
        }
        if (socket !== undefined && random.next() < fresh) {
          const old = socket
          socket = undefined
          old.end()
        }
        socket ??= open()
        burst = bursts[random.uint32() % BURSTS]!
        seen = 0
        sent += burst.kinds.length
        const how = ending()
        isAborting = how !== 'answers'
        if (how === 'answers') {
          socket.write(burst.bytes)
          watchdog = setTimeout(() => {
            failures.push(`no answer for ${FORGOTTEN_MS} ms, ${seen} of ${burst!.kinds.length} had come`)
            hangUp()
          }, FORGOTTEN_MS)
          return
        }
        aborted[how] += burst.kinds.length
        unseen += burst.kinds.length
        const gone = socket
        if (how === 'inAnswer') {
          // Until the first bytes of an answer arrive, which may be never when the burst is all refused and the server closes.
          gone.write(burst.bytes)
          watchdog = setTimeout(hangUp, FORGOTTEN_MS)
          return
        }
        const bytes = how === 'inBody' ? burst.bytes.subarray(0, burst.cutAt) : burst.bytes
        // Gone as soon as the system has taken the bytes: the server reads them and the end in one turn, or nearly.
        gone.write(bytes, () => {
          if (gone === socket) hangUp()
        })
      }
      next()
    })
  }

  const ticker = setInterval(() => onProgress(sent), 500)
  return Promise.all(Array.from({ length: connections }, client)).then(() => {
    clearInterval(ticker)
    return { sent, connections: opened, aborted, unseen, answered, byKind, failures }
  })
}

function makeBurst({ kinds, pipelined }: MixedLoadOptions, random: Random): Burst {
  const total = kinds.reduce((sum, { weight }) => sum + weight, 0)
  const pick = (): Kind => {
    let point = random.next() * total
    for (const kind of kinds) {
      point -= kind.weight
      if (point < 0) return kind
    }
    return kinds[0]!
  }
  const chosen = Array.from({ length: 1 + (random.uint32() % pipelined) }, pick)
  const last = chosen.at(-1)!.request
  const bytes = Buffer.concat(chosen.map(({ request }) => request))
  const body = last.length - Buffer.from(last).indexOf('\r\n\r\n') - 4
  return { kinds: chosen, bytes, cutAt: bytes.length - 1 - Math.floor(random.next() * body) }
}

/** Runs the load in a process of its own. */
export function mixedLoad(options: MixedLoadOptions, onProgress: (sent: number) => void): Promise<MixedLoadResult> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--generate'], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      serialization: 'advanced',
    })
    child.on('message', (message: number | MixedLoadResult) => {
      if (typeof message === 'number') onProgress(message)
      else resolve(message)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`The load ended with status ${code} and no result.`)))
    child.send(options)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--generate') {
  process.once('message', (options) => {
    run(options as MixedLoadOptions, (sent) => process.send!(sent)).then((result) =>
      process.send!(result, () => process.exit(0)),
    )
  })
}
