// The last step of a reply: compressed when it is worth it and the client asks for it.
import { acceptedEncoding, COMPRESS_FROM_BYTES, compress } from '../compression.js'
import { totalBytes } from '../reply.js'
import type { Encoding, Exchange, ReplyForm } from './exchange.js'

/** Sends a 200; undefined when that is done. */
export function answer(
  exchange: Exchange,
  body: string | Uint8Array,
  id: string,
  flags: readonly string[],
  form: ReplyForm | undefined,
): Promise<void> | undefined {
  if (totalBytes(body.length, form) >= COMPRESS_FROM_BYTES) {
    const encoding = acceptedEncoding(exchange.header('accept-encoding'))
    if (encoding !== undefined) return answerCompressed(exchange, body, id, flags, form, encoding)
  }
  exchange.answer(body, id, flags, form)
  return undefined
}

async function answerCompressed(
  exchange: Exchange,
  body: string | Uint8Array,
  id: string,
  flags: readonly string[],
  form: ReplyForm | undefined,
  encoding: Encoding,
): Promise<void> {
  const [first, ...parts] = await compress(form === undefined ? [body] : [body, ...form.parts], encoding)
  exchange.answer(first!, id, flags, { jsonBytes: form?.jsonBytes, encoding, parts })
}
