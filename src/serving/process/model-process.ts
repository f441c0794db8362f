// The server's side of one child process with models: it starts it, asks it, hears of its end and can end it at any time. What is to
// happen after an end is up to others.
//
// The process is a session of its own, so that a Ctrl+C or a signal to the server's group reaches the server alone, which lets its
// requests finish first. It ends by itself when the pipe does, and the pipe ends with the server, however that ends.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Clock, deserializeError, type Logger, workerFile } from '../../core/index.js'
import { childEnvironment } from './child-environment.js'
import { type Frame, FrameReader, type FrameTensor, writeFrame } from './frames.js'
import { Kind, type LogLine, type MemoryReport, type SerializedError, type StartRequest } from './messages.js'
import { readLines } from './output-lines.js'

/** Why a request has no answer: the process is no more. */
export class ProcessEnded extends Error {
  override readonly name = 'ProcessEnded'
}

export interface ModelProcessOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly start: StartRequest
  /** Resident memory, every few seconds. */
  readonly onMemory: (rssBytes: number) => void
  /** Called once, when it has ended or could not be started, unless `close` was called; after every request was rejected. */
  readonly onEnd: (process: ModelProcess, reason: string) => void
  /** The process's program; another one only in tests. */
  readonly program?: URL | undefined
  /** Lets `memory` collect garbage first. */
  readonly exposesGc?: boolean
}

interface Waiting {
  resolve(frame: Frame): void
  reject(error: Error): void
}

const PROGRAM = workerFile(import.meta.url, './process-worker.js')
const MAX_ID = 2 ** 32 - 1
/** A process that was told to end has this long. */
const END_MS = 5_000

export class ModelProcess {
  readonly #options: ModelProcessOptions
  readonly #child: ChildProcess
  /** Undefined when there was nothing to start it with. */
  readonly #pipe: Socket | undefined
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  /** Why it is ended from here. */
  #cause: string | undefined
  #isEnded = false
  #closing: Promise<void> | undefined
  readonly #exited: Promise<void>
  /** Resolves when it can load versions. Rejects with ProcessEnded. */
  readonly up: Promise<void>

  constructor(options: ModelProcessOptions) {
    this.#options = options
    const { clock, logger, start, program = PROGRAM, exposesGc = false } = options
    this.#child = spawn(process.execPath, [...(exposesGc ? ['--expose-gc'] : []), fileURLToPath(program)], {
      detached: true,
      env: childEnvironment(process.env),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    })
    const child = this.#child
    this.#pipe = (child.stdio?.[3] ?? undefined) as Socket | undefined
    const log = logger.child({ group: start.group, process: child.pid })
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue
      readLines(stream, clock, (line) => log.warn({ line }, 'a process with models printed'))
      ;(stream as Readable & { unref?(): void }).unref?.()
    }
    const reader = new FrameReader((frame) => this.#receive(frame, log))
    this.#pipe?.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk)
      } catch (error) {
        this.#pipe!.removeAllListeners('data').resume()
        this.kill((error as Error).message)
      }
    })
    this.#exited = this.#watchEnd()
    // An idle process does not keep the server alive; one with a request does.
    child.unref()
    this.#pipe?.unref()
    this.up = this.request(Kind.START, jsonOf(start)).then(() => undefined)
    // Whoever waits for it hears of it.
    this.up.catch(() => undefined)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Resolves with the answer's frame. Rejects with ProcessEnded, or with the HeadraceError that the process answered. */
  request(kind: number, head: Uint8Array, tensors: readonly FrameTensor[] = []): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (this.#isEnded) {
        reject(new ProcessEnded(this.#cause ?? 'it has ended'))
        return
      }
      this.#lastId = (this.#lastId % MAX_ID) + 1
      const id = this.#lastId
      this.#waiting.set(id, { resolve, reject })
      if (this.#waiting.size === 1) this.#pipe?.ref()
      // One that is on its way to its end rejects what waits for it then: sooner, whoever tries again would meet it again.
      if (this.#pipe?.writable && this.#cause === undefined) writeFrame(this.#pipe, kind, id, head, tensors)
    })
  }

  /** The answer's JSON. */
  async ask<T>(kind: number, question: object): Promise<T> {
    return parseJson<T>(await this.request(kind, jsonOf(question)))
  }

  /** Ends it at once, whatever it does; also when it was stopped by a signal. */
  kill(cause: string): void {
    if (this.#isEnded || this.#cause !== undefined) return
    this.#cause = cause
    this.#killNow()
  }

  /** Ends it, once nobody waits for an answer; resolves when it is gone. Its end is told to nobody. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#pipe?.end()
    this.#child.ref()
    const timer = this.#options.clock.after(END_MS, () => this.#killNow())
    await this.#exited
    timer.cancel()
  }

  #receive(frame: Frame, log: Logger): void {
    const { kind, id } = frame
    if (kind === Kind.REPORT) this.#options.onMemory(parseJson<MemoryReport>(frame).rssBytes)
    else if (kind === Kind.LOG) {
      const { level, fields, message } = parseJson<LogLine>(frame)
      log[level](fields, message)
    } else {
      const waiting = this.#waiting.get(id)
      if (waiting === undefined) return
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) this.#pipe?.unref()
      if (kind === Kind.DONE) waiting.resolve(frame)
      else waiting.reject(deserializeError(parseJson<SerializedError>(frame)))
    }
  }

  /** Two signs of the end, in any order: the pipe's, after which no answer comes, and the process's, which says why. */
  #watchEnd(): Promise<void> {
    return new Promise((resolve) => {
      let isPipeOver = this.#pipe === undefined
      let why: string | undefined
      const settle = (): void => {
        if (!isPipeOver || why === undefined || this.#isEnded) return
        this.#end(this.#cause ?? why)
        resolve()
      }
      const pipeIsOver = (): void => {
        if (isPipeOver) return
        isPipeOver = true
        // It has closed its side or cannot be reached: whatever it still does is of no use.
        if (why === undefined && this.#closing === undefined) this.#killNow()
        settle()
      }
      this.#pipe?.on('end', pipeIsOver).on('error', pipeIsOver).on('close', pipeIsOver)
      this.#child.once('exit', (code, signal) => {
        why = signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`
        settle()
        // Answers on their way are read to their end, unless something that it started holds the pipe open.
        this.#options.clock.after(END_MS, pipeIsOver)
      })
      this.#child.once('error', (error) => {
        why ??= error.message
        isPipeOver = true
        settle()
      })
    })
  }

  #killNow(): void {
    this.#child.kill('SIGKILL')
  }

  #end(reason: string): void {
    this.#isEnded = true
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#pipe?.destroy()
    const error = new ProcessEnded(reason)
    if (this.#closing === undefined) this.#options.onEnd(this, reason)
    for (const { reject } of waiting) reject(error)
  }
}

function jsonOf(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function parseJson<T>({ head }: Frame): T {
  return JSON.parse(head.length === 0 ? '{}' : head.toString()) as T
}
