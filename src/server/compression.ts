// Compressed bodies and replies: which encodings a client means, and both directions off the event loop, in bounded memory.
import { constants, createDeflate, createGunzip, createGzip, createInflate, createInflateRaw } from 'node:zlib'
import { alignedBuffer } from './body.js'
import { HttpErrors } from './errors.js'
import type { Intake } from './intake.js'
import type { Encoding } from './predict/exchange.js'

/** Of requests; HTTP's header of the same name says so to a client that used another. */
export const ACCEPTED_ENCODINGS = 'gzip, deflate'

/** The encoding of a body; undefined for none. Throws HTTP_CONTENT_ENCODING for unknown ones and for several. */
export function contentEncoding(header: string | undefined): Encoding | undefined {
  if (header === undefined) return undefined
  switch (header.trim().toLowerCase()) {
    case '':
    case 'identity':
      return undefined
    case 'gzip':
    case 'x-gzip':
      return 'gzip'
    case 'deflate':
      return 'deflate'
    default:
      throw HttpErrors.CONTENT_ENCODING({ encoding: header.slice(0, 100), acceptEncoding: ACCEPTED_ENCODINGS })
  }
}

/** The better liked of our encodings, gzip where both are liked the same; undefined when the client likes neither, or none better. */
export function acceptedEncoding(header: string | undefined): Encoding | undefined {
  if (header === undefined || header === 'identity') return undefined
  let gzip: number | undefined
  let deflate: number | undefined
  let identity: number | undefined
  let others: number | undefined
  for (const item of header.toLowerCase().split(',')) {
    const [coding, ...parameters] = item.split(';').map((part) => part.trim())
    const weight = weightOf(parameters)
    if (coding === 'gzip' || coding === 'x-gzip') gzip = weight
    else if (coding === 'deflate') deflate = weight
    else if (coding === 'identity') identity = weight
    else if (coding === '*') others = weight
  }
  gzip ??= others ?? 0
  deflate ??= others ?? 0
  const best = Math.max(gzip, deflate)
  if (best === 0 || best < (identity ?? 0)) return undefined
  return gzip === best ? 'gzip' : 'deflate'
}

/** Of `q=0.5`; what cannot be read counts as 0, that is, not wanted. */
function weightOf(parameters: readonly string[]): number {
  const q = parameters.find((parameter) => parameter.startsWith('q='))
  if (q === undefined) return 1
  const weight = Number(q.slice(2))
  return weight >= 0 && weight <= 1 ? weight : 0
}

export interface InflateOptions {
  readonly limitBytes: number
  /** Holds as many bytes more as what is inflated has when it resolves, for the caller to give back; none when it rejects. */
  readonly intake: Intake
  /** Byte number of the result that gets an address divisible by eight. */
  readonly alignAt: number
}

/**
 * What nobody compresses by accident: deflate reaches 1,032 : 1, on nothing but zeros. Up to 8 MiB any ratio is taken, since it
 * costs no more than a body that large; beyond it a small body must not cost what a large one does.
 */
const MAX_RATIO = 200
const ANY_RATIO_BYTES = 8 * 1024 * 1024
/** Joined at a time: a longer copy holds the event loop. */
const SLICE_BYTES = 1024 * 1024
const CHUNK_BYTES = 64 * 1024

/** Rejects with HTTP_COMPRESSED_INVALID, HTTP_COMPRESSED_TOO_MUCH, HTTP_BODY_TOO_LARGE or HTTP_BODIES_FULL. */
export async function inflate(
  body: Uint8Array,
  encoding: Encoding,
  { limitBytes, intake, alignAt }: InflateOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const engine = engineFor(body, encoding)
  const chunks: Buffer[] = []
  let size = 0
  try {
    engine.end(body)
    for await (const chunk of engine as AsyncIterable<Buffer>) {
      const before = size
      if (before + chunk.length > limitBytes) throw HttpErrors.BODY_TOO_LARGE({ limitBytes, sizeBytes: undefined })
      if (before + chunk.length > Math.max(ANY_RATIO_BYTES, body.length * MAX_RATIO))
        throw HttpErrors.COMPRESSED_TOO_MUCH({ bodyBytes: body.length, inflatedBytes: before, ratio: MAX_RATIO })
      intake.take(chunk.length, before)
      size = before + chunk.length
      chunks.push(chunk)
    }
    if (engine.bytesWritten < body.length)
      throw HttpErrors.COMPRESSED_INVALID({ encoding, problem: 'it goes on after the end of what was compressed' })
    return await join(chunks, size, alignAt)
  } catch (error) {
    intake.give(size)
    const { code } = error as NodeJS.ErrnoException
    if (typeof code === 'string' && code.startsWith('Z_'))
      throw HttpErrors.COMPRESSED_INVALID({ encoding, problem: (error as Error).message }, error)
    throw error
  }
}

/** `deflate` is zlib's format by HTTP's definition; the bare one, which some send, is told by its first two bytes. */
function engineFor(body: Uint8Array, encoding: Encoding) {
  const options = { chunkSize: CHUNK_BYTES }
  if (encoding === 'gzip') return createGunzip(options)
  const isZlib = body.length < 2 || ((body[0]! & 0x0f) === 8 && (body[0]! * 256 + body[1]!) % 31 === 0)
  return isZlib ? createInflate(options) : createInflateRaw(options)
}

async function join(chunks: Buffer[], size: number, alignAt: number): Promise<Buffer<ArrayBuffer>> {
  const whole = alignedBuffer(size, alignAt)
  let at = 0
  let pauseAt = SLICE_BYTES
  for (let i = 0; i < chunks.length; i++) {
    at += chunks[i]!.copy(whole, at)
    if (at < pauseAt) continue
    pauseAt = at + SLICE_BYTES
    await new Promise((resolve) => setImmediate(resolve))
  }
  return whole
}

/** Replies below this are sent as they are: their headers are as long, and compressing takes longer than sending. */
export const COMPRESS_FROM_BYTES = 1024

/** The parts one after the other, compressed; in parts again. Fast before small: tensors compress badly at any level. */
export async function compress(parts: readonly (string | Uint8Array)[], encoding: Encoding): Promise<Buffer[]> {
  const options = { level: constants.Z_BEST_SPEED, chunkSize: CHUNK_BYTES }
  const engine = encoding === 'gzip' ? createGzip(options) : createDeflate(options)
  for (const part of parts) engine.write(part)
  engine.end()
  const compressed: Buffer[] = []
  for await (const chunk of engine as AsyncIterable<Buffer>) compressed.push(chunk)
  return compressed
}
