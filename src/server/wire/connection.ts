// One connection of the wire: reads plain predictions, answers them in their order, and leaves for node:http with the first
// request that is anything else.
import type { Socket } from 'node:net'
import type { Clock } from '../../core/index.js'
import { HttpErrors } from '../errors.js'
import { type Intake, LARGE_BODY_BYTES } from '../intake.js'
import type { Client, Clients } from '../predict/client.js'
import type { ReplyForm } from '../predict/exchange.js'
import type { PredictHandler } from '../predict/handler.js'
import { totalBytes } from '../reply.js'
import { type ExchangeConnection, WireExchange } from './exchange.js'
import type { Head, HeadReader } from './head.js'
import type { ReplyText } from './reply-text.js'

/** Requests of one connection that are under way together; what comes after them waits in the socket. */
const MAX_PIPELINED = 64
/** How long a client that was refused has to close its side. */
const FAREWELL_MS = 5000
const NEVER = -1

/** A body that has not arrived whole. */
interface Arrival {
  readonly bytes: Buffer<ArrayBuffer>
  readonly resolve: (body: Uint8Array<ArrayBuffer>) => void
  readonly reject: (error: unknown) => void
}

export interface WireLimits {
  readonly bodyLimitBytes: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
}

/** What the connections of a wire share. */
export interface ConnectionServices {
  readonly clock: Clock
  readonly intake: Intake
  readonly clients: Clients
  readonly predict: PredictHandler
  readonly limits: WireLimits
  readonly reader: HeadReader
  readonly text: ReplyText
  /** Once true, replies say that their connection ends. */
  readonly isClosing: boolean
  /** Monotonic milliseconds, up to a second late. */
  readonly coarseMs: number
  /** What some client sent last: others often send the same. */
  readonly likely: Head | undefined
  /** Whether a request is answered here. */
  takes(reader: HeadReader, likely: Head | undefined): boolean
  /** Gives the socket to node:http. */
  handOver(connection: WireConnection, socket: Socket): void
  forget(connection: WireConnection): void
  /** Answers what is no HTTP, or took too long, and ends the connection. */
  refuseMalformed(code: string, socket: Socket): void
}

export class WireConnection implements ExchangeConnection {
  readonly client: Client
  readonly #wire: ConnectionServices
  readonly #socket: Socket
  /** Came with or after what is being read, and was not looked at. */
  #input: Buffer | undefined = undefined
  #likely: Head | undefined
  /** Requests without a reply, in the order they came. */
  #first: WireExchange | undefined = undefined
  #last: WireExchange | undefined = undefined
  #waiting = 0
  /** The body under way, if somebody reads it. */
  #arrival: Arrival | undefined = undefined
  /** Bytes of the body under way that are still to come, read or not. */
  #missingBytes = 0
  #isPaused = false
  /** The client does not read fast enough. */
  #isBlocked = false
  #isLeaving = false
  /** The client said that its last request was the last one. */
  #isLastRead = false
  #isFlushDue = false
  /** Nothing is read any more, and what is not answered will not be. */
  #isOver = false
  /** Monotonic milliseconds since when a message is arriving, or the first one is awaited; NEVER: none is. */
  #messageSinceMs: number
  /** Since when nothing is under way, in the wire's coarse time. */
  #idleSinceMs = 0
  #blockedSinceMs = 0
  #overSinceMs = 0
  /** Of large replies, taken from the intake. */
  #heldBytes = 0

  constructor(wire: ConnectionServices, socket: Socket, nowMs: number) {
    this.#wire = wire
    this.#socket = socket
    this.client = wire.clients.open()
    this.#likely = wire.likely
    this.#messageSinceMs = nowMs
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('drain', this.#onDrain)
    socket.on('close', this.#onClose)
    socket.on('error', ignore)
  }

  get isIdle(): boolean {
    return this.#waiting === 0 && this.#missingBytes === 0 && this.#input === undefined && !this.#isBlocked
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Enforces the time limits; called about once a second. */
  check(nowMs: number): void {
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs } = this.#wire.limits
    if (this.#isOver) {
      const limitMs = this.#socket.writableLength > 0 ? requestTimeoutMs : FAREWELL_MS
      if (nowMs - this.#overSinceMs > limitMs) this.destroy()
    } else if (this.#isBlocked) {
      if (nowMs - this.#blockedSinceMs > requestTimeoutMs) this.destroy()
    } else if (this.#messageSinceMs !== NEVER) {
      const limitMs = this.#missingBytes > 0 ? requestTimeoutMs : Math.min(headersTimeoutMs, requestTimeoutMs)
      if (nowMs - this.#messageSinceMs > limitMs) this.#refuse('ERR_HTTP_REQUEST_TIMEOUT')
    } else if (this.#waiting === 0 && nowMs - this.#idleSinceMs > keepAliveTimeoutMs) {
      this.destroy()
    }
  }

  readBody(): Promise<Uint8Array<ArrayBuffer>> {
    const sizeBytes = this.#missingBytes
    this.#wire.intake.take(sizeBytes)
    return new Promise((resolve, reject) => {
      this.#arrival = { bytes: Buffer.allocUnsafe(sizeBytes), resolve, reject }
    })
  }

  settle(exchange: WireExchange): void {
    if (exchange !== this.#first) return
    if (exchange.next === undefined) this.#flush()
    else if (!this.#isFlushDue) {
      // The others are often ready in the same turn, and go in the same write.
      this.#isFlushDue = true
      process.nextTick(flushDue, this)
    }
  }

  flushDue(): void {
    this.#isFlushDue = false
    this.#flush()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isOver) return
    let start = 0
    if (this.#missingBytes > 0) {
      start = this.#feed(chunk, 0)
      if (start === chunk.length) return
    }
    if (this.#isLastRead) return
    const input = this.#input
    this.#input = undefined
    this.#read(input === undefined ? chunk : Buffer.concat([input, chunk]), start)
  }

  #read(bytes: Buffer, start: number): void {
    const { reader, predict } = this.#wire
    let at = start
    while (at < bytes.length && !this.#isOver) {
      if (this.#waiting >= MAX_PIPELINED || this.#isBlocked) {
        this.#input = at === 0 ? bytes : bytes.subarray(at)
        this.#pause()
        return
      }
      const result = reader.read(bytes, at, this.#likely)
      if (result !== 'whole' || !this.#wire.takes(reader, this.#likely)) {
        this.#input = at === 0 ? bytes : bytes.subarray(at)
        if (result === 'incomplete') this.#messageStarts()
        else this.#leave()
        return
      }
      const head = reader.head!
      const { end, contentLength } = reader
      this.#likely = head
      at = end + contentLength
      const isWhole = at <= bytes.length
      const body = isWhole ? (bytes.subarray(end, at) as Buffer<ArrayBuffer>) : undefined
      const exchange = new WireExchange(this, head, body)
      if (this.#last === undefined) this.#first = exchange
      else this.#last.next = exchange
      this.#last = exchange
      this.#waiting++
      this.#isLastRead = !head.isKeptAlive
      if (isWhole) {
        this.#messageSinceMs = NEVER
        void predict(exchange, head.target)
      } else {
        this.#messageStarts()
        this.#missingBytes = contentLength
        void predict(exchange, head.target)
        this.#feed(bytes, end)
      }
      if (this.#isLastRead) return
    }
  }

  #messageStarts(): void {
    if (this.#messageSinceMs === NEVER) this.#messageSinceMs = this.#wire.clock.monotonicMs()
  }

  /** Takes what belongs to the body under way; returns where the rest starts. */
  #feed(bytes: Buffer, start: number): number {
    const size = Math.min(this.#missingBytes, bytes.length - start)
    const arrival = this.#arrival
    if (arrival !== undefined) bytes.copy(arrival.bytes, arrival.bytes.length - this.#missingBytes, start, start + size)
    this.#missingBytes -= size
    if (this.#missingBytes === 0) {
      this.#messageSinceMs = NEVER
      this.#arrival = undefined
      arrival?.resolve(arrival.bytes)
    }
    return start + size
  }

  /** Writes the replies that are ready, up to the first that is not, at once. */
  #flush(): void {
    if (this.#isOver) return
    const { text: replies } = this.#wire
    let text = ''
    let encoding: 'latin1' | 'utf8' = 'latin1'
    let hasRoom = true
    let isLast = false
    for (let exchange = this.#first; exchange?.isReady && !isLast; exchange = this.#first) {
      this.#first = exchange.next
      if (this.#first === undefined) this.#last = undefined
      this.#waiting--
      const { reply, error, id, flags, form } = exchange
      isLast =
        !exchange.head.isKeptAlive ||
        (this.#wire.isClosing && this.#first === undefined && this.#input === undefined && this.#missingBytes === 0)
      if (error !== undefined) {
        // Messages quote what callers wrote.
        text += replies.error(error, id, flags, isLast)
        encoding = 'utf8'
      } else if (form !== undefined) {
        hasRoom = this.#writeFormed(text, encoding, exchange, form, isLast)
        text = ''
        encoding = 'latin1'
      } else if (typeof reply === 'string') {
        const sizeBytes = Buffer.byteLength(reply)
        if (sizeBytes !== reply.length) encoding = 'utf8'
        text += replies.answer(sizeBytes, id!, flags, isLast) + reply
        if (sizeBytes > LARGE_BODY_BYTES) this.#hold(sizeBytes)
      } else {
        this.#socket.cork()
        this.#socket.write(text + replies.answer(reply.length, id!, flags, isLast), encoding)
        hasRoom = this.#socket.write(reply)
        this.#socket.uncork()
        if (reply.length > LARGE_BODY_BYTES) this.#hold(reply.length)
        text = ''
        encoding = 'latin1'
      }
    }
    if (text !== '') hasRoom = this.#socket.write(text, encoding)
    if (isLast) {
      this.#finish()
      this.#socket.destroySoon()
    } else if (!hasRoom) {
      this.#isBlocked = true
      this.#blockedSinceMs = this.#wire.clock.monotonicMs()
      this.#pause()
    } else this.#goOn()
  }

  /** Writes what is ready before a reply of several parts, and its parts where they stand. */
  #writeFormed(
    before: string,
    encoding: 'latin1' | 'utf8',
    { reply, id, flags }: WireExchange,
    form: ReplyForm,
    isLast: boolean,
  ): boolean {
    const socket = this.#socket
    const sizeBytes = totalBytes(typeof reply === 'string' ? Buffer.byteLength(reply) : reply.length, form)
    const { parts } = form
    socket.cork()
    socket.write(before + this.#wire.text.formed(sizeBytes, id!, flags, form, isLast), encoding)
    let hasRoom = socket.write(reply)
    for (let i = 0; i < parts.length; i++) hasRoom = socket.write(parts[i]!)
    socket.uncork()
    if (sizeBytes > LARGE_BODY_BYTES) this.#hold(sizeBytes)
    return hasRoom
  }

  #hold(sizeBytes: number): void {
    this.#heldBytes += sizeBytes
    this.#wire.intake.hold(sizeBytes)
  }

  #giveBack(): void {
    if (this.#heldBytes === 0) return
    this.#wire.intake.give(this.#heldBytes)
    this.#heldBytes = 0
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  /** After a reply, or when the client has read: takes up what was put off. */
  #goOn(): void {
    if (this.#isBlocked) return
    if (this.#waiting === 0) {
      if (this.#isLeaving) {
        this.#handOver()
        return
      }
      this.#idleSinceMs = this.#wire.coarseMs
    }
    if (!this.#isPaused || this.#isLeaving || this.#waiting >= MAX_PIPELINED) return
    this.#isPaused = false
    const input = this.#input
    this.#input = undefined
    if (input !== undefined) this.#read(input, 0)
    if (!this.#isPaused && !this.#isLeaving) this.#socket.resume()
  }

  /** The next request is for node:http, which gets the connection once the ones before are answered. */
  #leave(): void {
    this.#isLeaving = true
    // From here on its time is for node:http to measure.
    this.#messageSinceMs = NEVER
    if (this.#waiting === 0 && !this.#isBlocked) this.#handOver()
    else this.#pause()
  }

  #handOver(): void {
    const socket = this.#socket
    this.#isOver = true
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('drain', this.#onDrain)
    socket.off('close', this.#onClose)
    socket.off('error', ignore)
    socket.pause()
    socket.unshift(this.#input!)
    this.#input = undefined
    this.#giveBack()
    this.#wire.handOver(this, socket)
    socket.resume()
  }

  #refuse(code: string): void {
    this.#finish()
    this.#wire.refuseMalformed(code, this.#socket)
  }

  #finish(): void {
    this.#isOver = true
    this.#overSinceMs = this.#wire.clock.monotonicMs()
    this.#abandon()
  }

  /** Nobody waits for the rest. */
  #abandon(): void {
    this.client.gone()
    this.#input = undefined
    const arrival = this.#arrival
    if (arrival === undefined) return
    this.#arrival = undefined
    this.#wire.intake.give(arrival.bytes.length)
    arrival.reject(HttpErrors.MALFORMED({ reason: 'the connection ended before the body did' }))
  }

  readonly #onDrain = (): void => {
    this.#giveBack()
    if (!this.#isBlocked) return
    this.#isBlocked = false
    if (!this.#isOver) this.#goOn()
  }

  /** A client that has said all it will say is taken to have gone, as node:http takes it. */
  readonly #onEnd = (): void => {
    if (this.#isOver) return
    if (this.#missingBytes > 0 || this.#input !== undefined) {
      this.#refuse('HPE_INVALID_EOF_STATE')
      return
    }
    this.#finish()
    this.#socket.end()
  }

  readonly #onClose = (): void => {
    this.#isOver = true
    this.#wire.forget(this)
    this.#abandon()
    this.#giveBack()
  }
}

function flushDue(connection: WireConnection): void {
  connection.flushDue()
}

/** What matters about an error is the close that follows it. */
function ignore(): void {}
