// Which thread holds which session. A version is loaded in a thread that serves no other version, so neither its file nor its
// creation nor its first runs delay anybody; once measured it moves to the main thread or to a shared thread, or it keeps that
// thread for itself.
import type { Platform, Timer } from '../../core/index.js'
import type { Isolation } from '../../tensor/index.js'
import { fail, type OnnxFailure } from './failure.js'
import type { LoadedModel, LoadRequest } from './messages.js'
import { OnnxThread } from './onnx-thread.js'
import { INLINE_CREATE_MS, type Place, placeOf } from './placement.js'
import { usesGpu } from './providers.js'

/** A loaded version: its bytes, for a session on the main thread, or the thread that holds its session. */
export type Placed =
  | { readonly kind: 'inline'; readonly loaded: LoadedModel; readonly bytes: Uint8Array }
  | { readonly kind: 'thread'; readonly loaded: LoadedModel; readonly thread: OnnxThread; readonly session: number }

/** A thread that serves, and how long a batch of each of its sessions may take. */
interface Serving {
  readonly thread: OnnxThread
  readonly isShared: boolean
  readonly batchMs: Map<number, number>
}

interface IdleLoader {
  readonly thread: OnnxThread
  readonly expiry: Timer
}

interface WaitingLoad {
  start(): void
}

/**
 * Small models are loaded one after the other: ten take 300 ms with one loading thread and 450 ms with two, because starting a
 * thread costs more than they do (2 cores, 2026-11-22). Behind a large model a load waits this long, then gets a second thread.
 */
const LOADERS = 2
const PATIENCE_MS = 500
const LOADER_IDLE_MS = 5_000
const MAX_OWNERS = 8

export class OnnxThreads {
  readonly #serving = new Set<Serving>()
  readonly #idle: IdleLoader[] = []
  readonly #loads = new Set<Promise<Placed>>()
  readonly #closings = new Set<Promise<void>>()
  readonly #queue: WaitingLoad[] = []
  #loading = 0
  #lastReservation = 0
  #isClosed = false

  /** `onDeath` hears of threads that ended by themselves; their sessions are lost. */
  constructor(
    private readonly sharedThreads: number,
    private readonly onDeath: (thread: OnnxThread, failure: OnnxFailure) => void,
    private readonly worker: URL | undefined,
  ) {}

  /** Starts the loading thread and what it imports, so that the first load does not wait for them. Resolves when they are there. */
  prepare(platform: Platform): Promise<void> {
    const loader = this.#takeLoader()
    // A thread that cannot start says so to the load that needs it.
    const done = (): void => undefined
    const prepared = loader.request({ kind: 'prepare' }).then(done, done)
    this.#giveBack(loader, platform)
    return prepared
  }

  /** Rejects with an OnnxFailure. */
  async load(request: LoadRequest, isolation: Isolation | 'dedicated', platform: Platform): Promise<Placed> {
    if (this.#loading > 0) await this.#turn(platform)
    else this.#loading++
    const load = this.#load(request, isolation, platform)
    this.#loads.add(load)
    try {
      return await load
    } finally {
      this.#loads.delete(load)
      // A turn is handed over, so that the count stays.
      const next = this.#queue.shift()
      if (next) next.start()
      else this.#loading--
    }
  }

  /** Releases a session between its runs; a thread without sessions ends. */
  async release(thread: OnnxThread, session: number): Promise<void> {
    // A thread that ends meanwhile has released it by that.
    await thread.request({ kind: 'release', session }).catch(() => undefined)
    for (const serving of this.#serving) {
      if (serving.thread === thread) await this.#leave(serving, session)
    }
  }

  /** Ends every thread once its requests are answered; loads that have not begun are refused. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#loads)
    for (const { thread, expiry } of this.#idle.splice(0)) {
      expiry.cancel()
      this.#end(thread)
    }
    for (const { thread } of this.#serving) this.#end(thread)
    this.#serving.clear()
    await Promise.all(this.#closings)
  }

  #turn(platform: Platform): Promise<void> {
    return new Promise((resolve) => {
      const patience = platform.clock.after(PATIENCE_MS, () => {
        if (this.#loading >= LOADERS) return
        this.#queue.splice(this.#queue.indexOf(waiting), 1)
        this.#loading++
        resolve()
      })
      const waiting: WaitingLoad = {
        start() {
          patience.cancel()
          resolve()
        },
      }
      this.#queue.push(waiting)
    })
  }

  async #load(request: LoadRequest, isolation: Isolation | 'dedicated', platform: Platform): Promise<Placed> {
    if (this.#isClosed) throw fail('CLOSED', {})
    const loader = this.#takeLoader()
    try {
      const { loaded } = await loader.request(request)
      const placed = await this.#place(loader, loaded!, isolation)
      if (placed.kind === 'inline' || placed.thread !== loader) this.#giveBack(loader, platform)
      return placed
    } catch (error) {
      this.#giveBack(loader, platform)
      throw error
    }
  }

  async #place(loader: OnnxThread, loaded: LoadedModel, isolation: Isolation | 'dedicated'): Promise<Placed> {
    const place = this.#placeOf(loaded, isolation)
    const { session, layout } = loaded
    const batchMs = loaded.largestBatchMs ?? 0
    if (place === 'inline') {
      const { bytes } = await loader.request({ kind: 'settle', session, stays: false })
      return { kind: 'inline', loaded, bytes: bytes! }
    }
    const shared = [...this.#serving].filter(({ isShared }) => isShared)
    if (place === 'dedicated' || shared.length < this.sharedThreads) {
      this.#serving.add({ thread: loader, isShared: place === 'shared', batchMs: new Map([[session, batchMs]]) })
      await loader.request({ kind: 'settle', session, stays: true })
      return { kind: 'thread', loaded, thread: loader, session }
    }
    const target = shared.reduce((least, other) => (busyMs(other) < busyMs(least) ? other : least))
    // Holds the place, and with it the thread, while the session moves.
    const reservation = --this.#lastReservation
    target.batchMs.set(reservation, batchMs)
    try {
      const { bytes } = await loader.request({ kind: 'settle', session, stays: false })
      const options = { ...layout, bytes: bytes! }
      const opened = await target.thread.request({ kind: 'open', options }, [bytes!.buffer as ArrayBuffer])
      target.batchMs.set(opened.session!, batchMs)
      return { kind: 'thread', loaded, thread: target.thread, session: opened.session! }
    } finally {
      await this.#leave(target, reservation)
    }
  }

  /** What only takes long to open may have a thread of its own as long as there are few such: a thread costs 10 MB and 50 ms of CPU. */
  #placeOf(loaded: LoadedModel, isolation: Isolation | 'dedicated'): Place {
    const isGpu = usesGpu(loaded.providers)
    const place = placeOf(isolation, loaded, isGpu)
    const owners = [...this.#serving].filter(({ isShared }) => !isShared).length
    if (place !== 'dedicated' || owners < MAX_OWNERS) return place
    return placeOf(isolation, { ...loaded, createMs: INLINE_CREATE_MS + 1 }, isGpu)
  }

  async #leave(serving: Serving, session: number): Promise<void> {
    serving.batchMs.delete(session)
    if (serving.batchMs.size > 0 || !this.#serving.delete(serving)) return
    await this.#end(serving.thread)
  }

  #takeLoader(): OnnxThread {
    const idle = this.#idle.pop()
    if (!idle) return new OnnxThread((thread, failure) => this.#forget(thread, failure), this.worker)
    idle.expiry.cancel()
    return idle.thread
  }

  #giveBack(thread: OnnxThread, platform: Platform): void {
    if (thread.failure) return
    const expiry = platform.clock.after(LOADER_IDLE_MS, () => {
      const at = this.#idle.findIndex((idle) => idle.thread === thread)
      if (at < 0) return
      this.#idle.splice(at, 1)
      this.#end(thread)
    })
    this.#idle.push({ thread, expiry })
  }

  #forget(dead: OnnxThread, failure: OnnxFailure): void {
    for (const serving of this.#serving) if (serving.thread === dead) this.#serving.delete(serving)
    const at = this.#idle.findIndex(({ thread }) => thread === dead)
    if (at >= 0) this.#idle.splice(at, 1)[0]!.expiry.cancel()
    this.onDeath(dead, failure)
  }

  #end(thread: OnnxThread): Promise<void> {
    const closing = thread.close().finally(() => this.#closings.delete(closing))
    this.#closings.add(closing)
    return closing
  }
}

function busyMs({ batchMs }: Serving): number {
  let sum = 0
  for (const ms of batchMs.values()) sum += ms
  return sum
}
