// Reads a request body within its limit: refused before it is buffered when its length is known, cut off when it is not.
import type { IncomingMessage } from 'node:http'
import { HttpErrors } from './errors.js'
import { type Intake, LARGE_BODY_BYTES } from './intake.js'

/** Bodies above this arrive in one buffer of their own, which the parse worker can take over without a copy. */
const OWN_BUFFER_BYTES = LARGE_BODY_BYTES

/** Throws HTTP_BODY_TOO_LARGE when the declared length is over the limit; undefined when none is declared. */
function declaredLength(request: IncomingMessage, limitBytes: number): number | undefined {
  const text = request.headers['content-length']
  if (text === undefined) return undefined
  const sizeBytes = Number(text)
  if (sizeBytes > limitBytes) throw HttpErrors.BODY_TOO_LARGE({ limitBytes, sizeBytes })
  return sizeBytes
}

/**
 * A large body is read a burst at a time: each of its 64 KiB chunks is memory that the collector has to follow, and 64 MiB at
 * once made it hold up everyone else for up to 40 ms (2026-11-22). This still takes 125 MB a second from each connection, as much
 * as a gigabit link carries.
 */
const BURST_BYTES = 512 * 1024
const BURST_PAUSE_MS = 4

/**
 * The whole body; in a large one byte number `alignAt` has an address divisible by eight. Rejects with HTTP_BODY_TOO_LARGE, with HTTP_BODIES_FULL, or with HTTP_MALFORMED when the client goes away before
 * its end. The intake holds as many bytes as the body has when it resolves, for the caller to give back, and none when it rejects.
 */
export function readBody(
  request: IncomingMessage,
  limitBytes: number,
  intake: Intake,
  alignAt = 0,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const declared = declaredLength(request, limitBytes)
    if (declared !== undefined) intake.take(declared)
    let taken = declared ?? 0
    let isSettled = false
    const fail = (error: unknown) => {
      if (isSettled) return
      isSettled = true
      intake.give(taken)
      reject(error)
    }
    // Copied piece by piece as it arrives: joining 64 MiB at the end would hold up the event loop.
    let own = declared !== undefined && declared > OWN_BUFFER_BYTES ? alignedBuffer(declared, alignAt) : undefined
    let only: Buffer<ArrayBuffer> | undefined
    let chunks: Buffer<ArrayBuffer>[] | undefined
    let size = 0
    let pauseAt = BURST_BYTES
    const onData = (chunk: Buffer<ArrayBuffer>) => {
      const at = size
      size += chunk.length
      try {
        if (size > limitBytes) throw HttpErrors.BODY_TOO_LARGE({ limitBytes, sizeBytes: undefined })
        if (size > taken) {
          intake.take(size - taken, taken)
          taken = size
        }
      } catch (error) {
        request.off('data', onData)
        own = undefined
        chunks = undefined
        fail(error)
        return
      }
      if (own) {
        chunk.copy(own, at)
        if (size >= pauseAt && size !== declared) {
          pauseAt = size + BURST_BYTES
          request.pause()
          setTimeout(() => request.resume(), BURST_PAUSE_MS)
        }
      } else if (at === 0) {
        only = chunk
      } else {
        chunks ??= [only as Buffer<ArrayBuffer>]
        chunks.push(chunk)
        if (size > OWN_BUFFER_BYTES) {
          // Untouched pages cost nothing, and growing by copies would.
          own = alignedBuffer(limitBytes, alignAt)
          let offset = 0
          for (const part of chunks) offset += part.copy(own, offset)
          chunks = undefined
        }
      }
    }
    request.on('data', onData)
    request.on('end', () => {
      if (isSettled) return
      isSettled = true
      resolve(own ? own.subarray(0, size) : chunks ? Buffer.concat(chunks, size) : (only ?? EMPTY))
    })
    request.on('error', (error) =>
      fail(HttpErrors.MALFORMED({ reason: 'the connection ended before the body did' }, error)),
    )
  })
}

/** Memory in which numbers that start at byte `alignAt` can be read where they stand. */
export function alignedBuffer(sizeBytes: number, alignAt: number): Buffer<ArrayBuffer> {
  const gap = (8 - (alignAt % 8)) % 8
  return gap === 0 ? Buffer.allocUnsafeSlow(sizeBytes) : Buffer.allocUnsafeSlow(sizeBytes + gap).subarray(gap)
}

const EMPTY = Buffer.alloc(0)
