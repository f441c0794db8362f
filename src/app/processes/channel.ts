// Calls between two processes of one server. What is called in one turn of the event loop travels as one message, in order.
import { deserializeError, type SerializedError, toHeadraceError } from '../../core/index.js'
import { ProcessErrors } from '../errors.js'

/** Both ends of an IPC channel look like this. Messages are cloned, so they are plain data and typed arrays. */
export interface Wire {
  /** Throws what cannot be cloned; false or silence once the other process is gone. */
  send(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  onClose(listener: () => void): void
}

/** The methods that one side offers to the other. */
// biome-ignore lint/suspicious/noExplicitAny: only as the bound of a type parameter, which every method fits.
export type Methods = { [name: string]: (...args: any[]) => unknown }

type Frame =
  | readonly ['call', id: number, method: string, args: readonly unknown[]]
  | readonly ['tell', method: string, args: readonly unknown[]]
  | readonly ['value', id: number, value: unknown]
  | readonly ['error', id: number, error: SerializedError]

interface Pending {
  resolve(value: never): void
  reject(error: unknown): void
}

/** One end. `Remote` are the methods of the other end, `local` those of this one. */
export class Channel<Remote extends object> {
  readonly #pending = new Map<number, Pending>()
  readonly #local: Methods
  #queue: Frame[] = []
  #lastId = 0
  #isClosed = false

  constructor(
    private readonly wire: Wire,
    local: object,
  ) {
    this.#local = local as Methods
    wire.onMessage((message) => {
      for (const frame of message as Frame[]) this.#receive(frame)
    })
    wire.onClose(() => {
      this.#isClosed = true
      for (const { reject } of this.#pending.values()) reject(ProcessErrors.GONE())
      this.#pending.clear()
    })
  }

  /** Rejects with the error of the method, or PROCESS_GONE. */
  call<K extends keyof Remote & string>(
    method: K,
    ...args: Remote[K] extends (...args: infer A) => unknown ? A : never
  ): Promise<Remote[K] extends (...args: never[]) => infer R ? Awaited<R> : never> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(ProcessErrors.GONE())
        return
      }
      const id = ++this.#lastId
      this.#pending.set(id, { resolve, reject })
      this.#enqueue(['call', id, method, args])
    })
  }

  /** Without an answer. */
  tell<K extends keyof Remote & string>(
    method: K,
    ...args: Remote[K] extends (...args: infer A) => unknown ? A : never
  ): void {
    this.#enqueue(['tell', method, args])
  }

  #enqueue(frame: Frame): void {
    if (this.#queue.push(frame) === 1) queueMicrotask(this.#flush)
  }

  readonly #flush = (): void => {
    const frames = this.#queue
    this.#queue = []
    if (this.#isClosed) return
    try {
      this.wire.send(frames)
    } catch {
      // One of them cannot be cloned: the others must not suffer.
      for (const frame of frames) this.#sendAlone(frame)
    }
  }

  #sendAlone(frame: Frame): void {
    try {
      this.wire.send([frame])
    } catch (error) {
      if (frame[0] === 'call') this.#take(frame[1])?.reject(error)
      else if (frame[0] === 'value') this.wire.send([['error', frame[1], toHeadraceError(error).toJSON()]])
    }
  }

  #receive(frame: Frame): void {
    switch (frame[0]) {
      case 'call':
        this.#answer(frame[1], frame[2], frame[3])
        break
      case 'tell':
        this.#local[frame[1]]!(...frame[2])
        break
      case 'value':
        this.#take(frame[1])?.resolve(frame[2] as never)
        break
      case 'error':
        this.#take(frame[1])?.reject(deserializeError(frame[2]))
        break
      default:
        frame satisfies never
    }
  }

  /** A method that returns no promise is answered at once, before anything that is told after it. */
  #answer(id: number, method: string, args: readonly unknown[]): void {
    const fail = (error: unknown): void => this.#enqueue(['error', id, toHeadraceError(error).toJSON()])
    try {
      const value = this.#local[method]!(...args)
      if (value instanceof Promise) value.then((settled) => this.#enqueue(['value', id, settled]), fail)
      else this.#enqueue(['value', id, value])
    } catch (error) {
      fail(error)
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    return pending
  }
}
