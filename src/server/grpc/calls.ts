// Every open call of the server: how many there may be, and which of them wait for their clients. A client that neither sends
// nor reads is cut off in time; one that keeps a stream idle keeps it until the place is needed.
import type { Clock, HeadraceError, Logger, Timer } from '../../core/index.js'
import type { Path } from '../../path/index.js'
import { HttpErrors } from '../errors.js'
import type { Intake } from '../intake.js'
import type { Clients } from '../predict/client.js'
import { GrpcErrors } from './errors.js'

const SWEEP_MS = 1000
const RETRY_AFTER_MS = 1000

export interface CallsOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly intake: Intake
  readonly clients: Clients
  readonly path: Pick<Path, 'countError'>
  /** Largest message. */
  readonly limitBytes: number
  /** How long a client may take to send its message, or to read its reply. */
  readonly stallMs: number
  /** Most calls open at once. */
  readonly limit: number
}

/** A call as the others of its server see it. */
export interface OpenCall {
  /** The reply is out, or nobody waits for one any more. */
  readonly isDone: boolean
  /** Whether its client may be silent for as long as it likes. */
  readonly mayIdle: boolean
  /** Monotonic milliseconds since when the server has waited for its client. */
  waitsSinceMs: number
  /** Ends it with an error that was thrown before there was a prediction. */
  refuse(error: unknown): void
  /** Ends it because its client does not read. */
  cut(): void
  /** The same, unless it has a large reply, which has its own watch. */
  cutUnlessLarge(): void
  /** The server closes. */
  drain(): void
}

export class Calls {
  readonly clock: Clock
  readonly intake: Intake
  readonly clients: Clients
  readonly limitBytes: number
  readonly stallMs: number
  readonly #open = new Set<OpenCall>()
  /** Those whose client has to do something next, the longest waiting first. */
  readonly #waiting = new Set<OpenCall>()
  readonly #limit: number
  #sweep: Timer | undefined

  constructor(private readonly options: CallsOptions) {
    this.clock = options.clock
    this.intake = options.intake
    this.clients = options.clients
    this.limitBytes = options.limitBytes
    this.stallMs = options.stallMs
    this.#limit = options.limit
    this.#sweepLater()
  }

  get count(): number {
    return this.#open.size
  }

  /** A call has come; it waits for its client. When there are too many, the longest idle one ends, or else this one. */
  enter(call: OpenCall): void {
    if (this.#open.size >= this.#limit) {
      const [idlest] = this.#waiting
      if (idlest === undefined) {
        this.#open.add(call)
        call.refuse(GrpcErrors.STREAMS_FULL({ limit: this.#limit, retryAfterMs: RETRY_AFTER_MS }))
        return
      }
      this.forget(idlest)
      if (idlest.isDone) idlest.cut()
      else idlest.refuse(GrpcErrors.STREAM_IDLE({ limit: this.#limit }))
    }
    this.#open.add(call)
    this.#waiting.add(call)
  }

  /** The server has work to do for the call. */
  waitNoMore(call: OpenCall): void {
    this.#waiting.delete(call)
  }

  /** The client has to send, or to read, before anything goes on. */
  waitFor(call: OpenCall): void {
    // One that lost its place only has its end to be sent.
    if (!this.#open.has(call)) return
    call.waitsSinceMs = this.clock.monotonicMs()
    this.#waiting.add(call)
  }

  forget(call: OpenCall): void {
    this.#waiting.delete(call)
    this.#open.delete(call)
  }

  refused(error: HeadraceError, path: string): void {
    if (error.level === 'error') this.options.logger.error({ err: error, path }, error.message)
    this.options.path.countError(error.code)
  }

  /** The server closes: what waits for its client ends, and the rest when it is done. */
  drain(): void {
    for (const call of [...this.#open]) call.drain()
  }

  close(): void {
    this.#sweep?.cancel()
  }

  #sweepLater(): void {
    this.#sweep = this.clock.after(SWEEP_MS, () => {
      const sinceMs = this.clock.monotonicMs() - this.stallMs
      for (const call of this.#waiting) {
        if (call.waitsSinceMs > sinceMs) continue
        if (call.isDone) call.cutUnlessLarge()
        else if (!call.mayIdle) call.refuse(HttpErrors.TIMEOUT())
      }
      this.#sweepLater()
    })
  }
}
