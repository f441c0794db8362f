// The thread that reads large bodies and writes large replies, one job at a time.
import { parentPort, workerData } from 'node:worker_threads'
import { HeadraceError } from '../core/index.js'
import { encodePredictResponse, parsePredictRequest } from './kserve-v1/index.js'
import { parseNativeRequest } from './native/index.js'
import { encodeInferResponseBytes, parseInferRequest } from './oip/index.js'
import { ParseErrors } from './parse-errors.js'
import { type EncodedBody, ownedBuffers, type ParseJob, type ParseReply, restoreBuffers } from './parse-jobs.js'

const port = parentPort!
const { maxHeapMb } = workerData as { readonly maxHeapMb: number }

port.on('message', (job: ParseJob) => {
  const transfer: ArrayBuffer[] = []
  let reply: ParseReply
  try {
    reply = run(job, transfer)
  } catch (error) {
    reply = { kind: 'failed', error: expected(error).toJSON() }
  }
  port.postMessage(reply, transfer)
})

/** What a body can cause. Anything else is a fault of ours: it ends the thread, and the pool reports it with its stack. */
function expected(error: unknown): HeadraceError {
  if (error instanceof HeadraceError) return error
  // A string or an array that would be larger than the engine allows.
  if (error instanceof RangeError) return ParseErrors.TOO_COMPLEX({ limitMb: maxHeapMb }, error)
  throw error
}

function run(job: ParseJob, transfer: ArrayBuffer[]): ParseReply {
  if (job.kind === 'parse') {
    const request = parse(job)
    transfer.push(...ownedBuffers(request.inputs, job.body))
    return { kind: 'parsed', request }
  }
  const encoded = encode(job)
  transfer.push(encoded.body.buffer)
  return { kind: 'encoded', encoded }
}

function parse(job: Extract<ParseJob, { kind: 'parse' }>) {
  switch (job.protocol) {
    case 'oip':
      return parseInferRequest(job.body)
    case 'kserve-v1':
      return parsePredictRequest(job.body, job.schema)
    case 'native':
      return parseNativeRequest(job.body, job.schema)
    default:
      return job satisfies never
  }
}

function encode(job: Extract<ParseJob, { kind: 'encode' }>): EncodedBody {
  switch (job.protocol) {
    case 'oip':
      restoreBuffers(job.response.outputs)
      return encodeInferResponseBytes(job.response)
    case 'kserve-v1':
      restoreBuffers(job.response.outputs)
      return { body: toBytes(encodePredictResponse(job.response)), rawOutputs: undefined }
    default:
      return job satisfies never
  }
}

/** Not from Node's shared pool: the memory is given away. */
function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}
