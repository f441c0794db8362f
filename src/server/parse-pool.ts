// Bodies over 128 KiB are parsed, and large replies written, in a thread of their own: 64 MB of JSON takes over a second.
// The thread starts with the first such body. It may run out of memory, which ends it and not the process; the next job gets a new one.
import { Worker } from 'node:worker_threads'
import { deserializeError, type Gauge, type HeadraceError, type Platform, workerFile } from '../core/index.js'
import { copyData, estimateJsonBytes, type OpenRows, type RowSchema, type Tensor } from '../tensor/index.js'
import { ParseErrors } from './parse-errors.js'
import {
  type EncodedBody,
  type EncodedResponses,
  type ParsedRequests,
  type ParseJob,
  type ParseReply,
  type Protocol,
  restoreBuffers,
} from './parse-jobs.js'

export type { EncodedBody, EncodedResponses, ParsedRequests, Protocol } from './parse-jobs.js'

/** Bodies above this many bytes go to the pool: they would hold the event loop for more than some 2 ms. */
export const PARSE_INLINE_MAX_BYTES = 128 * 1024

export interface ParsePoolOptions {
  readonly platform: Platform
  /** Default 1. */
  readonly threads?: number
  /** Bodies waiting or in work, default 256 MiB; beyond it PARSE_QUEUE_FULL. A single body is always taken. */
  readonly maxQueueBytes?: number
  /** JavaScript heap of a thread, default 512 MB; a body that needs more gets PARSE_TOO_COMPLEX. */
  readonly maxHeapMb?: number
}

/** Every call rejects with a HeadraceError only: what the protocol's own function throws, or PARSE_…. */
export interface ParsePool {
  /** `body` is transferred: the caller must not touch it again. `schema` is needed for kserve-v1 and native. */
  parse<P extends Protocol>(
    protocol: P,
    body: Uint8Array,
    schema: P extends 'oip' ? undefined : RowSchema | OpenRows,
  ): Promise<ParsedRequests[P]>
  encode<P extends keyof EncodedResponses>(protocol: P, response: EncodedResponses[P]): Promise<EncodedBody>
  /** Ends the threads; jobs under way reject with PARSE_CLOSED. */
  close(): Promise<void>
}

/** Roughly the bytes of a reply; above PARSE_INLINE_MAX_BYTES it goes to the pool. */
export function estimateReplyBytes(outputs: readonly Tensor[]): number {
  let bytes = 0
  for (let i = 0; i < outputs.length; i++) bytes += estimateJsonBytes(outputs[i]!)
  return bytes
}

export function createParsePool(options: ParsePoolOptions): ParsePool {
  return new ThreadParsePool(options)
}

interface Pending {
  readonly job: ParseJob
  readonly transfer: ArrayBuffer[]
  readonly sizeBytes: number
  readonly resolve: (reply: ParseReply) => void
  readonly reject: (error: HeadraceError) => void
}

/** One worker and the job it is at; jobs wait here and not in the worker's own queue, so that its end costs one of them. */
interface Thread {
  readonly worker: Worker
  pending: Pending | undefined
}

class ThreadParsePool implements ParsePool {
  readonly #platform: Platform
  readonly #maxThreads: number
  readonly #maxQueueBytes: number
  readonly #maxHeapMb: number
  readonly #queuedBytesGauge: Gauge
  readonly #threads = new Set<Thread>()
  readonly #waiting: Pending[] = []
  #queuedBytes = 0
  #isClosed = false

  constructor({ platform, threads = 1, maxQueueBytes = 256 * 1024 * 1024, maxHeapMb = 512 }: ParsePoolOptions) {
    this.#platform = platform
    this.#maxThreads = threads
    this.#maxQueueBytes = maxQueueBytes
    this.#maxHeapMb = maxHeapMb
    this.#queuedBytesGauge = platform.metrics
      .gauge({
        name: 'headrace_parse_queue_bytes',
        help: 'Large bodies waiting for the parse threads or in work there.',
      })
      .with()
  }

  async parse<P extends Protocol>(
    protocol: P,
    body: Uint8Array,
    schema: P extends 'oip' ? undefined : RowSchema | OpenRows,
  ): Promise<ParsedRequests[P]> {
    // Only a whole ArrayBuffer can be transferred; a view of a larger one has neighbours that must stay.
    const isWhole = body.byteLength === body.buffer.byteLength && body.buffer instanceof ArrayBuffer
    const own = isWhole ? (body as Uint8Array<ArrayBuffer>) : new Uint8Array(body)
    const job = { kind: 'parse', protocol, body: own, schema } as ParseJob
    const reply = await this.#submit(job, [own.buffer], own.byteLength)
    if (reply.kind !== 'parsed') throw unexpectedReply(reply)
    restoreBuffers(reply.request.inputs.values())
    return reply.request as ParsedRequests[P]
  }

  async encode<P extends keyof EncodedResponses>(protocol: P, response: EncodedResponses[P]): Promise<EncodedBody> {
    // The outputs may be logged or cached afterwards, so the thread gets copies.
    const outputs = await Promise.all(response.outputs.map(copyOf))
    const transfer = outputs.flatMap(({ data }) => (Array.isArray(data) ? [] : [data.buffer as ArrayBuffer]))
    const job = { kind: 'encode', protocol, response: { ...response, outputs } } as ParseJob
    const reply = await this.#submit(job, transfer, estimateBytes(response))
    if (reply.kind !== 'encoded') throw unexpectedReply(reply)
    return reply.encoded
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const pending of this.#waiting.splice(0)) this.#settle(pending).reject(ParseErrors.CLOSED())
    const threads = [...this.#threads]
    for (const thread of threads) this.#drop(thread, ParseErrors.CLOSED())
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
  }

  #submit(job: ParseJob, transfer: ArrayBuffer[], sizeBytes: number): Promise<ParseReply> {
    if (this.#isClosed) throw ParseErrors.CLOSED()
    const queuedBytes = this.#queuedBytes
    if (queuedBytes > 0 && queuedBytes + sizeBytes > this.#maxQueueBytes)
      throw ParseErrors.QUEUE_FULL({ sizeBytes, queuedBytes, limitBytes: this.#maxQueueBytes, retryAfterMs: 1000 })
    this.#queuedBytes += sizeBytes
    this.#queuedBytesGauge.set(this.#queuedBytes)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, transfer, sizeBytes, resolve, reject })
      this.#dispatch()
    })
  }

  #dispatch(): void {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const thread = this.#idleThread()
      if (thread === undefined) return
      const pending = this.#waiting.shift()!
      thread.pending = pending
      // A thread at work keeps the process alive, an idle one does not.
      thread.worker.ref()
      thread.worker.postMessage(pending.job, pending.transfer)
    }
  }

  #idleThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.pending === undefined) return thread
    return this.#threads.size < this.#maxThreads ? this.#start() : undefined
  }

  #start(): Thread {
    const worker = new Worker(workerFile(import.meta.url, './parse-worker.js'), {
      name: 'headrace-parse',
      workerData: { maxHeapMb: this.#maxHeapMb },
      resourceLimits: { maxOldGenerationSizeMb: this.#maxHeapMb },
    })
    const thread: Thread = { worker, pending: undefined }
    this.#threads.add(thread)
    worker.on('message', (reply: ParseReply) => this.#answer(thread, reply))
    let failure: HeadraceError | undefined
    worker.on('error', (cause: NodeJS.ErrnoException) => {
      failure =
        cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? ParseErrors.TOO_COMPLEX({ limitMb: this.#maxHeapMb }, cause)
          : ParseErrors.WORKER_FAILED({ exitCode: 1 }, cause)
    })
    worker.on('exit', (exitCode) => {
      if (!this.#threads.has(thread)) return
      failure ??= ParseErrors.WORKER_FAILED({ exitCode })
      this.#platform.logger[failure.level]({ err: failure }, 'A parse thread ended.')
      this.#drop(thread, failure)
      this.#dispatch()
    })
    return thread
  }

  #answer(thread: Thread, reply: ParseReply): void {
    const pending = thread.pending
    thread.pending = undefined
    thread.worker.unref()
    if (pending !== undefined) this.#settle(pending).resolve(reply)
    this.#dispatch()
  }

  #drop(thread: Thread, error: HeadraceError): void {
    this.#threads.delete(thread)
    if (thread.pending !== undefined) this.#settle(thread.pending).reject(error)
    thread.pending = undefined
  }

  #settle(pending: Pending): Pending {
    this.#queuedBytes -= pending.sizeBytes
    this.#queuedBytesGauge.set(this.#queuedBytes)
    return pending
  }
}

function unexpectedReply(reply: ParseReply): Error {
  return reply.kind === 'failed'
    ? deserializeError(reply.error)
    : new TypeError(`a parse thread answered ${reply.kind}`)
}

function estimateBytes({ outputs }: EncodedResponses[keyof EncodedResponses]): number {
  return outputs.reduce((total, tensor) => total + estimateJsonBytes(tensor), 0)
}

async function copyOf(tensor: Tensor): Promise<Tensor> {
  return Array.isArray(tensor.data) ? tensor : { ...tensor, data: await copyData(tensor.data) }
}
