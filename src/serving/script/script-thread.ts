// The main side of a script's thread. Unlike a session thread it may be ended at any time: nothing native runs in it.
import { Worker } from 'node:worker_threads'
import { workerFile } from '../../core/index.js'
import { fail, reasonOf, ScriptFailure } from './failure.js'
import type { Answer, Envelope, Reply, Request } from './messages.js'

interface Waiting {
  resolve(answer: Answer): void
  reject(error: ScriptFailure): void
}

const SCRIPT_WORKER = workerFile(import.meta.url, './script-worker.js')
/** A script that keeps too much ends its own thread, not the server. */
const MAX_HEAP_MIB = 256

export class ScriptThread {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  readonly #exited: Promise<void>
  #lastId = 0
  #failure: ScriptFailure | undefined

  constructor() {
    // Loaders given to the main thread (a TypeScript runner, a test runner) have no business in this one.
    this.#worker = new Worker(SCRIPT_WORKER, {
      name: 'headrace-script',
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    })
    this.#worker.unref()
    this.#worker.on('message', (reply: Reply) => this.#receive(reply))
    const end = (reason: string) => void this.end(fail('THREAD_ENDED', { reason }))
    this.#worker.on('messageerror', (error) => end(reasonOf(error)))
    this.#worker.on('error', (error) => end(reasonOf(error)))
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        end(`it exited with code ${code}`)
        resolve()
      })
    })
  }

  get isAlive(): boolean {
    return this.#failure === undefined
  }

  /** Rejects with a ScriptFailure only. */
  request(request: Request, transfer: readonly ArrayBuffer[] = []): Promise<Answer> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      // An idle thread does not keep the process alive; one with work does.
      if (this.#waiting.size === 1) this.#worker.ref()
      this.#worker.postMessage({ id, request } satisfies Envelope, transfer)
    })
  }

  /** Stops whatever runs and rejects requests under way with `failure`; resolves when the thread is gone. */
  end(failure: ScriptFailure): Promise<void> {
    if (!this.#failure) {
      this.#failure = failure
      for (const { reject } of this.#waiting.values()) reject(failure)
      this.#waiting.clear()
      void this.#worker.terminate()
    }
    return this.#exited
  }

  #receive({ id, answer, failure }: Reply): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (answer) waiting.resolve(answer)
    else waiting.reject(new ScriptFailure(failure!))
  }
}
