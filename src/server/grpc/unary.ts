// Methods of one message and one reply that are not on the hot path: the generated codecs, and a function between them.
import type { Need } from '../../access/index.js'
import { HeadraceError } from '../../core/index.js'
import type { Method } from '../../oip/index.js'
import type { ServerContext } from '../context.js'
import type { Call, GrpcMethod } from './call.js'
import { GrpcErrors } from './errors.js'
import { PREFIX_BYTES } from './frames.js'
import { newFrame } from './infer-reply.js'

/** Names and settings. The generated decoders take 100 ns for a field of two bytes: 64 MiB of those would hold up everybody. */
export const SMALL_BYTES = 64 * 1024

/** What a caller needs, and for which endpoint or model; undefined: for the whole project. */
export type MethodNeeds<Request> =
  | 'open'
  | { readonly needs: Need; readonly on?: (request: Request) => string | undefined }

export function unary<Request, Response>(
  context: ServerContext,
  method: Method<Request, Response>,
  needs: MethodNeeds<Request>,
  answer: (request: Request, call: Call) => Response | Promise<Response>,
  limitBytes = SMALL_BYTES,
): GrpcMethod {
  return {
    path: method.path,
    takesMany: false,
    limitBytes,
    message: (call, message) => void answerUnary(context, method, needs, answer, call, message),
  }
}

async function answerUnary<Request, Response>(
  { app }: ServerContext,
  method: Method<Request, Response>,
  needs: MethodNeeds<Request>,
  answer: (request: Request, call: Call) => Response | Promise<Response>,
  call: Call,
  message: Buffer,
): Promise<void> {
  try {
    // Before the message is read: it may be large.
    if (needs !== 'open') {
      call.caller = await app.access.authenticate(call.credentials)
      await call.caller.meter?.admitRequest()
    }
    const request = decoded(method, message)
    if (needs !== 'open') app.access.check(call.caller, needs.needs, needs.on?.(request))
    call.reply(frameOf(method, await answer(request, call)))
  } catch (error) {
    call.refuse(error)
  }
}

/** Throws GRPC_MESSAGE_INVALID. */
export function decoded<Request, Response>(method: Method<Request, Response>, message: Buffer): Request {
  try {
    return method.requestDeserialize(message)
  } catch (error) {
    if (error instanceof HeadraceError) throw error
    throw GrpcErrors.MESSAGE_INVALID({ problem: 'it is no message of that type' }, error)
  }
}

export function frameOf<Request, Response>(method: Method<Request, Response>, response: Response): Buffer {
  const message = method.responseSerialize(response)
  const frame = newFrame(message.length)
  message.copy(frame, PREFIX_BYTES)
  return frame
}
