// The body of a request to load a model: a config, and files in base64. Read in a thread of its own when it is large.
import type { IncomingMessage } from 'node:http'
import { Worker } from 'node:worker_threads'
import { deserializeError, type SerializedError, workerFile } from '../../core/index.js'
import { readBody } from '../body.js'
import { isBinaryType, isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'
import { type LoadBody, readLoadBody } from './read-load-body.js'

export type LoadReply = { readonly body: LoadBody } | { readonly error: SerializedError }

/**
 * Calls `use` with what a request says; the bytes count as held until it has ended. Throws HTTP_ errors, and REPOSITORY_FILE_INVALID
 * for what is not base64.
 */
export async function withLoadBody<T>(
  { bodyLimitBytes, intake }: ServerContext,
  request: IncomingMessage,
  model: string,
  use: (body: LoadBody) => Promise<T>,
): Promise<T> {
  const { 'content-type': contentType, 'content-encoding': encoding = 'identity' } = request.headers
  // Triton's asyncio client calls its JSON bytes.
  if (contentType !== undefined && !isJsonType(contentType) && !isBinaryType(contentType))
    throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
  if (encoding !== 'identity')
    throw HttpErrors.CONTENT_ENCODING({ encoding: encoding.slice(0, 100), acceptEncoding: 'identity' })
  const bytes = await readBody(request, bodyLimitBytes, intake)
  const heldBytes = bytes.length
  try {
    return await use(heldBytes > PARSE_INLINE_MAX_BYTES ? await inThread(bytes, model) : readLoadBody(bytes, model))
  } finally {
    intake.give(heldBytes)
  }
}

function inThread(bytes: Uint8Array, model: string): Promise<LoadBody> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerFile(import.meta.url, './load-body-worker.js'), { workerData: { bytes, model } })
    worker.once('message', (reply: LoadReply) => {
      if ('body' in reply) resolve(reply.body)
      else reject(deserializeError(reply.error))
    })
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('The thread that read the body ended without an answer.')))
  })
}
