// The main side of a session thread. It is only ever ended by message, between runs: `terminate` in mid-run aborts the process.
import { Worker } from 'node:worker_threads'
import { workerFile } from '../../core/index.js'
import { fail, OnnxFailure, reasonOf } from './failure.js'
import type { Answer, Envelope, Reply, Request } from './messages.js'

interface Waiting {
  resolve(answer: Answer): void
  reject(error: OnnxFailure): void
}

const ONNX_WORKER = workerFile(import.meta.url, './onnx-worker.js')

export class OnnxThread {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  readonly #exited: Promise<void>
  #lastId = 0
  #closing: Promise<void> | undefined
  #failure: OnnxFailure | undefined
  #whenIdle: (() => void) | undefined

  /** `onDeath` is told once, when the thread ends although nobody closed it. */
  constructor(
    private readonly onDeath: (thread: OnnxThread, failure: OnnxFailure) => void,
    file: URL = ONNX_WORKER,
  ) {
    // Loaders given to the main thread (a TypeScript runner, a test runner) have no business in this one.
    this.#worker = new Worker(file, { name: 'headrace-onnx', execArgv: [] })
    // An idle thread does not keep the process alive; one with work does, because ending the process then would abort it.
    this.#worker.unref()
    this.#worker.on('message', (reply: Reply) => this.#receive(reply))
    this.#worker.on('messageerror', (error) => {
      this.#die(reasonOf(error))
      this.#post(0, { kind: 'close' })
    })
    this.#worker.on('error', (error) => this.#die(reasonOf(error)))
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#die(`it exited with code ${code}`)
        resolve()
      })
    })
  }

  /** Why the thread is of no use any more. */
  get failure(): OnnxFailure | undefined {
    return this.#failure
  }

  /** Rejects with an OnnxFailure only. */
  request(request: Request, transfer: readonly ArrayBuffer[] = []): Promise<Answer> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      try {
        this.#post(id, request, transfer)
      } catch (error) {
        reject(fail('RUN_FAILED', { reason: reasonOf(error) }))
        return
      }
      this.#waiting.set(id, { resolve, reject })
      if (this.#waiting.size === 1) this.#worker.ref()
    })
  }

  /** Lets requests under way finish, releases the sessions and waits for the thread to end. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Ends the thread as if it had failed; a run under way is let finish, because ending it then would end the process. */
  kill(): void {
    if (!this.#failure) this.#post(0, { kind: 'die' })
  }

  async #close(): Promise<void> {
    // From here on the process waits for the thread.
    this.#worker.ref()
    if (this.#waiting.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
    if (!this.#failure) await this.request({ kind: 'close' }).catch(() => undefined)
    await this.#exited
  }

  #post(id: number, request: Request, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage({ id, request } satisfies Envelope, transfer)
  }

  #receive({ id, answer, failure }: Reply): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    this.#waiting.delete(id)
    if (answer) waiting.resolve(answer)
    else waiting.reject(new OnnxFailure(failure!))
    if (this.#waiting.size === 0) this.#becomeIdle()
  }

  #becomeIdle(): void {
    if (!this.#closing) this.#worker.unref()
    this.#whenIdle?.()
  }

  #die(reason: string): void {
    if (this.#failure) return
    this.#failure = fail('THREAD_DIED', { reason })
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
    this.#becomeIdle()
    if (!this.#closing) this.onDeath(this, this.#failure)
  }
}
