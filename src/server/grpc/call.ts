// One call: its messages as they arrive, its reply, its end. Written on node:http2 itself: grpc-js's server compresses no replies,
// gathers a message before anybody can count its bytes, and decides alone what an idle stream may cost.
import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  sensitiveHeaders,
} from 'node:http2'
import { type Caller, type Credentials, NOBODY } from '../../access/index.js'
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import { PathErrors, type Prediction } from '../../path/index.js'
import { inflate } from '../compression.js'
import { LARGE_BODY_BYTES } from '../intake.js'
import type { Calls, OpenCall } from './calls.js'
import { compressFrame } from './compress.js'
import { GrpcErrors } from './errors.js'
import { type Frame, Frames, PREFIX_BYTES } from './frames.js'
import { errorTrailers, Status } from './status.js'
import { timeoutMs } from './timeout.js'

/** What is done with the messages of a call. Whatever these throw ends the call with that error. */
export interface GrpcMethod {
  readonly path: string
  /** Whether a call brings any number of messages; else exactly one. */
  readonly takesMany: boolean
  /** Largest message, where that is less than the server's. */
  readonly limitBytes?: number
  /** Whether the client may be silent for as long as it likes. */
  readonly mayIdle?: boolean
  /** The call has come, and nothing of it yet but its head. */
  opened?(call: Call): void
  /** A whole message, uncompressed: a view of memory that nobody else writes to. */
  message(call: Call, message: Buffer): void
  /** No further message comes; of methods that take many. */
  end?(call: Call): void
  /** The client has gone before the call had ended. */
  gone?(call: Call): void
  /** The server closes: what is in flight is finished, and then the call ends. Of methods that may idle. */
  drain?(call: Call): void
}

const REPLY_HEADERS: OutgoingHttpHeaders = { ':status': 200, 'content-type': 'application/grpc' }
const GZIP_HEADERS: OutgoingHttpHeaders = { ...REPLY_HEADERS, 'grpc-encoding': 'gzip' }
const ERROR_HEADERS: OutgoingHttpHeaders = { ...REPLY_HEADERS, 'grpc-accept-encoding': 'identity,deflate,gzip' }
const REPLY_OPTIONS = { waitForTrailers: true, sendDate: false }
const ERROR_OPTIONS = { endStream: true, sendDate: false }

export class Call implements OpenCall {
  readonly arrivedMs: number
  /** What a method that takes many keeps of its call. */
  state: unknown = undefined
  /** Who sent it, once that was asked. */
  caller: Caller = NOBODY
  /** The reply is out, or nobody waits for one any more. */
  isDone = false
  /** Monotonic milliseconds since when the server has waited for this client. */
  waitsSinceMs: number
  /** In flight: the only one of a unary call; a stream's others are in the set. */
  #prediction: Prediction | undefined = undefined
  #others: Set<Prediction> | undefined = undefined
  readonly #frames: Frames
  readonly #limitBytes: number
  #heldBytes = 0
  /** A message is being inflated; those behind it wait. */
  #isInflating = false
  #isPaused = false
  #hasMessage = false
  #hasEnded = false
  #hasSentHead = false
  #replyBytes = 0
  #trailers: OutgoingHttpHeaders | undefined = undefined

  constructor(
    readonly method: GrpcMethod,
    private readonly stream: ServerHttp2Stream,
    private readonly headers: IncomingHttpHeaders,
    private readonly calls: Calls,
  ) {
    this.arrivedMs = calls.clock.monotonicMs()
    this.waitsSinceMs = this.arrivedMs
    this.#limitBytes = Math.min(calls.limitBytes, method.limitBytes ?? calls.limitBytes)
    this.#frames = new Frames(this.#limitBytes)
    stream.on('data', (chunk: Buffer) => this.#data(chunk))
    stream.on('end', () => this.#end())
    stream.on('close', () => this.#close())
    stream.on('wantTrailers', () => this.#sendTrailers())
    // Reset by the client, or cut off with its connection; `close` follows.
    stream.on('error', ignore)
  }

  get credentials(): Credentials {
    return this.headers
  }

  header(name: string): string | undefined {
    return this.headers[name] as string | undefined
  }

  /** The time that the client gave the whole call; undefined for none. Throws GRPC_MESSAGE_INVALID. */
  get limitMs(): number | undefined {
    return timeoutMs(this.header('grpc-timeout'))
  }

  /** Whether that time is over, to the millisecond. */
  get isOverdue(): boolean {
    const { limitMs } = this
    return limitMs !== undefined && this.calls.clock.monotonicMs() - this.arrivedMs + 1 >= limitMs
  }

  get mayIdle(): boolean {
    return this.method.mayIdle === true
  }

  get path(): string {
    return this.method.path
  }

  /** Whether the client compressed what it sent: only then are replies worth it to it. */
  get wantsGzip(): boolean {
    const sent = this.headers['grpc-encoding']
    return sent !== undefined && sent !== 'identity' && String(this.headers['grpc-accept-encoding']).includes('gzip')
  }

  /** Before a prediction goes down the path: it is cancelled when the client goes away. */
  enter(prediction: Prediction): void {
    prediction.cancelled = this.isDone
    if (this.#prediction === undefined) this.#prediction = prediction
    else {
      this.#others ??= new Set()
      this.#others.add(prediction)
    }
  }

  leave(prediction: Prediction): void {
    if (this.#prediction === prediction) this.#prediction = undefined
    else this.#others?.delete(prediction)
  }

  /** The bytes of a message that a method which takes many is done with. */
  give(sizeBytes: number): void {
    this.#heldBytes -= sizeBytes
    this.calls.intake.give(sizeBytes)
  }

  /** Takes no further message until `readOn`; the client is held back once its window is full. */
  pause(): void {
    this.#isPaused = true
    this.stream.pause()
  }

  readOn(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.stream.resume()
    try {
      this.#takeMessages()
    } catch (error) {
      this.refuse(error)
    }
  }

  /** Sends the one message of a reply, with room for its prefix in front, and ends the call. */
  reply(frame: Buffer, id?: string, flags: readonly string[] = NO_FLAGS): void {
    if (this.isDone) return
    const trailers: OutgoingHttpHeaders = { 'grpc-status': 0 }
    if (id !== undefined) {
      trailers['headrace-prediction-id'] = id
      Reflect.set(trailers, sensitiveHeaders, UNIQUE)
    }
    if (flags.length > 0) trailers['headrace-flags'] = flags.join(', ')
    if (this.wantsGzip) void this.#replyCompressed(frame, trailers)
    else this.#finish(REPLY_HEADERS, frame, trailers)
  }

  /** Sends the head of a reply of any number of messages. */
  open(): void {
    if (this.isDone || this.#hasSentHead || this.#isGone()) return
    this.#hasSentHead = true
    this.stream.respond(this.wantsGzip ? GZIP_HEADERS : REPLY_HEADERS, REPLY_OPTIONS)
  }

  /** Sends one of any number of messages. False: the client does not keep up, wait for `drained`. */
  write(frame: Buffer): boolean {
    if (this.isDone || this.#isGone()) return true
    this.open()
    return this.stream.write(frame)
  }

  /** Calls back once the client has read what was written; one that stops reading is given up. */
  drained(callback: () => void): void {
    this.stream.setTimeout(this.calls.stallMs, () => this.cut())
    this.stream.once('drain', () => {
      this.stream.setTimeout(0)
      callback()
    })
  }

  /** Counts a message of the reply, from when it is there to when it is written; until the call closes at most. */
  holdReply(sizeBytes: number): void {
    this.#replyBytes += sizeBytes
    this.calls.intake.hold(sizeBytes)
  }

  giveReply(sizeBytes: number): void {
    this.#replyBytes -= sizeBytes
    this.calls.intake.give(sizeBytes)
  }

  /** Ends a reply of any number of messages. */
  finish(): void {
    if (this.isDone) return
    this.open()
    this.#done({ 'grpc-status': Status.OK })
    this.stream.end()
  }

  /** Ends the call with an error; without an id it was refused before it became a prediction. */
  fail(error: HeadraceError, id?: string, flags: readonly string[] = NO_FLAGS): void {
    if (this.isDone) return
    const trailers = errorTrailers(error, id, flags)
    this.#done(trailers)
    if (this.#isGone()) return
    if (this.#hasSentHead) {
      // The trailers follow, and then the stream stops.
      this.stream.end()
      return
    }
    this.stream.respond({ ...ERROR_HEADERS, ...trailers }, ERROR_OPTIONS)
    if (!this.#hasEnded) this.stop()
  }

  /** For what was thrown before there was a prediction: nothing to record, only to count. */
  refuse(error: unknown): void {
    const failure = toHeadraceError(error)
    if (this.isDone) return
    this.calls.refused(failure, this.path)
    this.fail(failure)
  }

  /** Counts an error that the call itself survives. */
  countRefused(error: HeadraceError): void {
    this.calls.refused(error, this.path)
  }

  /** Nothing is in flight: the client's turn. */
  idles(): void {
    this.calls.waitFor(this)
  }

  /** The server closes. A message that has begun to arrive is still answered. */
  drain(): void {
    if (this.isDone) return
    if (this.method.drain) this.method.drain(this)
    else if (!this.#hasMessage && this.#frames.isEmpty) this.fail(PathErrors.DRAINING({ retryAfterMs: 1000 }))
  }

  /** Takes nothing more from the client. A reset that is sent at once would overtake what says how the call ended. */
  stop(): void {
    setImmediate(() => this.stream.close(constants.NGHTTP2_NO_ERROR))
  }

  /** Ends a call whose client does not read. */
  cut(): void {
    this.stream.close(constants.NGHTTP2_CANCEL)
  }

  cutUnlessLarge(): void {
    if (this.#replyBytes === 0) this.cut()
  }

  async #replyCompressed(frame: Buffer, trailers: OutgoingHttpHeaders): Promise<void> {
    const smaller = await compressFrame(frame)
    if (!this.isDone) this.#finish(GZIP_HEADERS, smaller, trailers)
  }

  #finish(headers: OutgoingHttpHeaders, frame: Buffer, trailers: OutgoingHttpHeaders): void {
    this.#done(trailers)
    if (this.#isGone()) return
    this.#hasSentHead = true
    this.stream.respond(headers, REPLY_OPTIONS)
    this.stream.end(frame)
    if (frame.length > LARGE_BODY_BYTES) {
      this.holdReply(frame.length)
      this.stream.setTimeout(this.calls.stallMs, () => this.cut())
    }
  }

  #done(trailers: OutgoingHttpHeaders | undefined): void {
    this.isDone = true
    this.#trailers = trailers
    this.#cancel()
    this.calls.intake.give(this.#heldBytes)
    this.#heldBytes = 0
    // Until it has read the reply.
    this.calls.waitFor(this)
  }

  #isGone(): boolean {
    return this.stream.destroyed || this.stream.closed
  }

  #sendTrailers(): void {
    if (this.#isGone()) return
    this.stream.sendTrailers(this.#trailers ?? { 'grpc-status': Status.OK })
    if (!this.#hasEnded) this.stop()
  }

  #data(chunk: Buffer): void {
    if (this.isDone) return
    try {
      this.calls.intake.take(chunk.length, this.#heldBytes)
      this.#heldBytes += chunk.length
      this.#frames.push(chunk)
      this.#takeMessages()
    } catch (error) {
      this.refuse(error)
    }
  }

  #takeMessages(): void {
    while (!this.isDone && !this.#isPaused && !this.#isInflating) {
      const frame = this.#frames.next()
      if (frame === undefined) break
      if (this.#hasMessage && !this.method.takesMany)
        throw GrpcErrors.MESSAGE_INVALID({ problem: 'more than one message arrived' })
      this.#hasMessage = true
      this.calls.waitNoMore(this)
      this.give(PREFIX_BYTES)
      if (frame.isCompressed) void this.#inflate(frame)
      else this.#message(frame.message)
    }
    if (this.#hasEnded && !this.isDone && !this.#isPaused && !this.#isInflating) this.#checkEnd()
  }

  #message(message: Buffer): void {
    if (!this.method.takesMany && !this.#frames.isEmpty)
      throw GrpcErrors.MESSAGE_INVALID({ problem: 'bytes follow the message' })
    this.method.message(this, message)
  }

  async #inflate({ message }: Frame): Promise<void> {
    this.#isInflating = true
    const { intake } = this.calls
    try {
      const encoding = this.header('grpc-encoding') ?? 'identity'
      if (encoding !== 'gzip' && encoding !== 'deflate')
        throw GrpcErrors.ENCODING_UNSUPPORTED({ encoding: encoding.slice(0, 40) })
      const inflated = await inflate(message, encoding, { limitBytes: this.#limitBytes, intake, alignAt: 0 })
      if (this.isDone) {
        intake.give(inflated.length)
        return
      }
      this.#heldBytes += inflated.length
      this.give(message.length)
      this.#isInflating = false
      this.#message(Buffer.from(inflated.buffer, inflated.byteOffset, inflated.length))
      this.#takeMessages()
    } catch (error) {
      this.refuse(error)
    }
  }

  #end(): void {
    this.#hasEnded = true
    if (this.isDone || this.#isPaused || this.#isInflating) return
    try {
      this.#checkEnd()
    } catch (error) {
      this.refuse(error)
    }
  }

  #checkEnd(): void {
    if (!this.#frames.isEmpty) throw GrpcErrors.MESSAGE_INVALID({ problem: 'it ends in the middle' })
    if (this.method.takesMany) this.method.end?.(this)
    else if (!this.#hasMessage) throw GrpcErrors.MESSAGE_INVALID({ problem: 'there is none' })
  }

  #cancel(): void {
    if (this.#prediction === undefined && this.#others === undefined) return
    if (this.#prediction !== undefined) this.#prediction.cancelled = true
    if (this.#others !== undefined) for (const prediction of this.#others) prediction.cancelled = true
    this.calls.clients.dropSoon()
  }

  #close(): void {
    if (!this.isDone) {
      this.#done(undefined)
      this.method.gone?.(this)
    }
    if (this.#replyBytes > 0) this.giveReply(this.#replyBytes)
  }
}

const NO_FLAGS: readonly string[] = []
/** Never the same twice: kept out of the connection's table of headers, where each would push out one that repeats. */
const UNIQUE = ['headrace-prediction-id']
function ignore(): void {}
