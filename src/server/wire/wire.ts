// The hot path's own HTTP/1.1: an ordinary node:http server listens, and each of its connections starts here. Plain predictions
// are read and answered without node:http's objects, at about half its cost; a connection goes to node:http, for good and with
// every byte that was not answered, at its first request that is anything else.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../core/index.js'
import { type Intake, LARGE_BODY_BYTES } from '../intake.js'
import type { Clients } from '../predict/client.js'
import type { PredictHandler } from '../predict/handler.js'
import { type ConnectionServices, WireConnection, type WireLimits } from './connection.js'
import { type Head, HeadReader } from './head.js'
import { ReplyText } from './reply-text.js'

export interface WireOptions {
  readonly clock: Clock
  readonly intake: Intake
  readonly clients: Clients
  readonly predict: PredictHandler
  readonly limits: WireLimits
  /** Throws for callers that may not be answered; node:http then tells them. */
  readonly guard: ((host: string | undefined, origin: string | undefined) => void) | undefined
  /** Answers what is no HTTP, or took too long, and ends the connection. */
  readonly refuseMalformed: (code: string, socket: Socket) => void
}

/** As often as node:http looks at its own connections. */
const CHECK_MS = 1000

/** Puts the wire in front of a node:http server, which must not listen yet. */
export function attachWire(server: Server, options: WireOptions): Wire {
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[]
  server.removeAllListeners('connection')
  const wire = new Wire(options, (socket) => {
    for (const listener of listeners) listener.call(server, socket)
  })
  server.on('connection', (socket: Socket) => wire.accept(socket))
  return wire
}

export class Wire implements ConnectionServices {
  readonly clock: Clock
  readonly intake: Intake
  readonly clients: Clients
  readonly predict: PredictHandler
  readonly limits: WireLimits
  readonly refuseMalformed: (code: string, socket: Socket) => void
  readonly reader = new HeadReader()
  readonly text: ReplyText
  isClosing = false
  coarseMs: number
  likely: Head | undefined = undefined
  readonly #guard: WireOptions['guard']
  readonly #toNode: (socket: Socket) => void
  readonly #maxBodyBytes: number
  readonly #connections = new Set<WireConnection>()
  #isChecking = false

  constructor(options: WireOptions, toNode: (socket: Socket) => void) {
    this.clock = options.clock
    this.intake = options.intake
    this.clients = options.clients
    this.predict = options.predict
    this.limits = options.limits
    this.refuseMalformed = options.refuseMalformed
    this.text = new ReplyText(options.clock, options.limits.keepAliveTimeoutMs)
    this.coarseMs = options.clock.monotonicMs()
    this.#guard = options.guard
    this.#toNode = toNode
    // Large bodies need pauses and a thread of their own; node:http's way of reading them has both.
    this.#maxBodyBytes = Math.min(options.limits.bodyLimitBytes, LARGE_BODY_BYTES)
  }

  accept(socket: Socket): void {
    this.coarseMs = this.clock.monotonicMs()
    this.#connections.add(new WireConnection(this, socket, this.coarseMs))
    this.#checkLater()
  }

  /** A head that was taken before has passed the guard. */
  takes({ head, contentLength }: HeadReader, likely: Head | undefined): boolean {
    if (contentLength > this.#maxBodyBytes) return false
    if (head === likely) return true
    try {
      this.#guard?.(head!.host, head!.origin)
    } catch {
      return false
    }
    this.likely = head
    return true
  }

  handOver(connection: WireConnection, socket: Socket): void {
    this.#connections.delete(connection)
    this.#toNode(socket)
  }

  forget(connection: WireConnection): void {
    this.#connections.delete(connection)
  }

  closeIdle(): void {
    for (const connection of this.#connections) if (connection.isIdle) connection.destroy()
  }

  closeAll(): void {
    for (const connection of this.#connections) connection.destroy()
  }

  /** One timer for all connections, and none while there are none. */
  #checkLater(): void {
    if (this.#isChecking) return
    this.#isChecking = true
    this.clock.after(CHECK_MS, () => {
      this.#isChecking = false
      this.coarseMs = this.clock.monotonicMs()
      for (const connection of this.#connections) connection.check(this.coarseMs)
      if (this.#connections.size > 0) this.#checkLater()
    })
  }
}
