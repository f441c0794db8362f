// ModelStreamInfer: any number of requests and replies on one call, each reply in the wrapping that Triton gives it. Requests run
// together, and replies leave in the order of their requests, as Triton's do for models that answer once. A request that fails
// gets a reply that says so, and the stream goes on.
import type { HeadraceError } from '../../core/index.js'
import { inferenceService } from '../../oip/index.js'
import { PathErrors, Prediction } from '../../path/index.js'
import type { ServerContext } from '../context.js'
import type { Call, GrpcMethod } from './call.js'
import { compressFrame } from './compress.js'
import { PREFIX_BYTES } from './frames.js'
import { infer } from './infer.js'
import { newFrame } from './infer-reply.js'

/** Of one stream, requests that are worked at and replies that are not read; its client is held back beyond either. */
const MAX_IN_FLIGHT = 64
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024

/** `infer_response` of ModelStreamInferResponse. */
const WRAP_TAG = 0x12

interface Slot {
  /** Undefined until the reply is there. */
  frame: Buffer | undefined
}

export function streamInferMethod(context: ServerContext): Omit<GrpcMethod, 'path'> {
  return {
    takesMany: true,
    mayIdle: true,
    opened(call) {
      call.state = new InferStream(context, call)
      void admit(context, call)
    },
    message: (call, message) => (call.state as InferStream).take(message),
    end: (call) => (call.state as InferStream).end(),
    drain: (call) => (call.state as InferStream).drain(),
  }
}

/** Each message is looked at again: a key may expire, or be revoked, while its stream is open. */
async function admit({ app }: ServerContext, call: Call): Promise<void> {
  try {
    const caller = app.access.authenticate(call.credentials)
    app.access.check(caller instanceof Promise ? await caller : caller, 'predict')
    call.open()
  } catch (error) {
    call.refuse(error)
  }
}

class InferStream {
  readonly #slots: Slot[] = []
  #inFlightBytes = 0
  /** Written, and perhaps not read. */
  #writtenBytes = 0
  #isBlocked = false
  #hasEnded = false
  #isDraining = false

  constructor(
    private readonly context: ServerContext,
    private readonly call: Call,
  ) {}

  take(message: Buffer): void {
    const slot: Slot = { frame: undefined }
    this.#slots.push(slot)
    this.#inFlightBytes += message.length
    if (!this.#hasRoom()) this.call.pause()
    void this.#answer(slot, message)
  }

  end(): void {
    this.#hasEnded = true
    this.#flush()
  }

  drain(): void {
    this.#isDraining = true
    this.call.pause()
    this.#flush()
  }

  async #answer(slot: Slot, message: Buffer): Promise<void> {
    const { context, call } = this
    const arrivedMs = context.app.platform.clock.monotonicMs()
    const { outcome, requestId } = await infer(context, call, arrivedMs, message, WRAP_TAG)
    if (call.isDone) return
    if (!(outcome instanceof Prediction)) {
      call.countRefused(outcome)
      slot.frame = errorFrame(outcome, requestId)
    } else if (outcome.error) {
      // The time was the whole stream's: its client looks for the end of the call, and may see it first.
      if (call.isOverdue) return call.fail(outcome.error, outcome.id, outcome.flags)
      slot.frame = errorFrame(outcome.error, requestId)
    } else {
      const frame = outcome.reply as Buffer
      slot.frame = call.wantsGzip ? await compressFrame(frame) : frame
      if (call.isDone) return
    }
    call.give(message.length)
    call.holdReply(slot.frame.length)
    this.#inFlightBytes += slot.frame.length - message.length
    this.#flush()
  }

  #hasRoom(): boolean {
    return this.#slots.length < MAX_IN_FLIGHT && this.#inFlightBytes < MAX_IN_FLIGHT_BYTES
  }

  #giveWritten(): void {
    this.call.giveReply(this.#writtenBytes)
    this.#inFlightBytes -= this.#writtenBytes
    this.#writtenBytes = 0
  }

  #flush(): void {
    const { call } = this
    while (!call.isDone && !this.#isBlocked && this.#slots[0]?.frame !== undefined) {
      const frame = this.#slots.shift()!.frame!
      this.#writtenBytes += frame.length
      if (call.write(frame)) this.#giveWritten()
      else {
        this.#isBlocked = true
        call.drained(() => {
          this.#isBlocked = false
          this.#giveWritten()
          this.#flush()
        })
      }
    }
    if (call.isDone) return
    if (this.#slots.length === 0) {
      if (this.#hasEnded) call.finish()
      else if (this.#isDraining) call.fail(PathErrors.DRAINING({ retryAfterMs: 1000 }))
      else call.idles()
    }
    if (!this.#isDraining && !this.#isBlocked && this.#hasRoom()) call.readOn()
  }
}

/** Clients read the message, and those that tell replies apart the id. */
function errorFrame(error: HeadraceError, id: string): Buffer {
  const message = inferenceService.ModelStreamInfer.responseSerialize({
    errorMessage: error.message,
    inferResponse: {
      modelName: '',
      modelVersion: '',
      id,
      parameters: new Map([['headrace_code', { parameterChoice: { $case: 'stringParam', value: error.code } }]]),
      outputs: [],
      rawOutputContents: [],
    },
  })
  const frame = newFrame(message.length)
  message.copy(frame, PREFIX_BYTES)
  return frame
}
