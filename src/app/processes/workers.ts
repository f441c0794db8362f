// Starts worker processes, gives each connection to the next of them in turn, and starts those that end again.
// The primary accepts and hands over, because processes that all wait on one socket share unevenly: the kernel gives a burst of
// connections to whoever it wakes first (docs/deploying.md has the figures).
import cluster, { type Worker } from 'node:cluster'
import type { Clock, Logger, Random, Timer } from '../../core/index.js'
import type { Wire } from './channel.js'
import { RestartPauses } from './restart-pauses.js'

export interface WorkersOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The script of a worker and its arguments. */
  readonly script: string
  readonly args: readonly string[]
  /** A process was started for a place; returns what happens when it has ended. */
  onStart(worker: WorkerProcess): () => void
}

/** One of the places that processes take, one after the other. */
export interface WorkerProcess {
  readonly number: number
  readonly pid: number
  readonly isReplacement: boolean
  readonly wire: Wire
  /** Ends it at once. */
  kill(): void
  /** Its end will be on purpose: nobody takes its place. */
  release(): void
}

export class Workers {
  readonly #live = new Set<Worker>()
  readonly #restarts: RestartPauses
  readonly #pauses = new Set<Timer>()
  /** The clock's timers do not keep a process alive, and between two workers of one place there may be nothing else. */
  readonly #keepAlive = setInterval(() => {}, 2 ** 30)
  #isStopping = false
  #ended: (() => void) | undefined

  constructor(private readonly options: WorkersOptions) {
    this.#restarts = new RestartPauses(options.random)
    // Both must be set before the first fork, and neither is up to NODE_CLUSTER_SCHED_POLICY.
    cluster.schedulingPolicy = cluster.SCHED_RR
    cluster.setupPrimary({ exec: options.script, args: [...options.args], serialization: 'advanced' })
  }

  start(number: number, isReplacement: boolean): void {
    const { logger, clock } = this.options
    const worker = cluster.fork()
    const startedMs = clock.monotonicMs()
    const { pid } = worker.process
    this.#live.add(worker)
    let isReleased = false
    const handed = watchHandedConnection(worker)
    const onEnd = this.options.onStart({
      number,
      pid: pid ?? 0,
      isReplacement,
      wire: wireTo(worker),
      kill: () => worker.process.kill('SIGKILL'),
      release: () => {
        isReleased = true
      },
    })
    const end = (code: number | null, signal: string | null) => {
      if (!this.#live.delete(worker)) return
      handed.drop()
      onEnd()
      if (this.#live.size === 0) this.#ended?.()
      if (isReleased || this.#isStopping) return
      const pauseMs = this.#restarts.pauseMs(number, clock.monotonicMs() - startedMs)
      logger.error(
        { worker: number, process: pid, code, signal, pauseMs },
        'a worker process ended; another takes its place',
      )
      this.#after(pauseMs, () => this.start(number, true))
    }
    worker.once('exit', end)
    worker.on('error', (error) => {
      logger.warn({ err: error, worker: number, process: pid }, 'a worker process cannot be reached')
      // One that could not even be started has no end that would be told.
      if (pid === undefined) end(null, null)
    })
  }

  /** No more are started. Resolves when all have ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#keepAlive)
    for (const pause of this.#pauses) pause.cancel()
    if (this.#live.size === 0) return
    await new Promise<void>((resolve) => {
      this.#ended = resolve
    })
  }

  #after(ms: number, callback: () => void): void {
    const timer = this.options.clock.after(ms, () => {
      this.#pauses.delete(timer)
      if (!this.#isStopping) callback()
    })
    this.#pauses.add(timer)
  }
}

function wireTo(worker: Worker): Wire {
  return {
    send: (message) => {
      if (worker.isConnected()) worker.send(message as object)
    },
    onMessage: (listener) => void worker.on('message', listener),
    onClose: (listener) => void worker.once('disconnect', listener),
  }
}

/**
 * Node forgets a connection that it has handed to a process which died before taking it, and its client would wait for ever.
 * Closing it tells the client. A connection that was taken is closed here already, and closing it again does nothing.
 */
function watchHandedConnection(worker: Worker): { drop(): void } {
  let latest: { close?(): void } | undefined
  const send = worker.process.send.bind(worker.process) as (...args: unknown[]) => boolean
  worker.process.send = ((message: unknown, handle: unknown, ...rest: unknown[]) => {
    if (typeof handle === 'object' && handle !== null) latest = handle as { close?(): void }
    return send(message, handle, ...rest)
  }) as typeof worker.process.send
  return {
    drop() {
      latest?.close?.()
    },
  }
}
