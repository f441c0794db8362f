// The bytes of a call as length-prefixed messages: one byte that says whether it is compressed, four of length, the message.
import { HttpErrors } from '../errors.js'
import { LARGE_BODY_BYTES } from '../intake.js'

export const PREFIX_BYTES = 5

/** Room for a large message is made when so much of it is there: a length that lies costs its sender real bytes. */
const TRUSTED_SHARE = 8

export interface Frame {
  readonly message: Buffer
  readonly isCompressed: boolean
}

export class Frames {
  /** Bytes that came and have not been taken as a message. */
  #chunks: Buffer[] = []
  #haveBytes = 0
  /** One buffer for a large message, and how much of it is filled; `#chunks` is empty meanwhile. */
  #own: Buffer | undefined

  constructor(private readonly limitBytes: number) {}

  get isEmpty(): boolean {
    return this.#haveBytes === 0
  }

  push(chunk: Buffer): void {
    if (this.#own === undefined) this.#chunks.push(chunk)
    else {
      const room = this.#own.length - this.#haveBytes
      if (chunk.length <= room) chunk.copy(this.#own, this.#haveBytes)
      else {
        chunk.copy(this.#own, this.#haveBytes, 0, room)
        this.#chunks.push(this.#own, chunk.subarray(room))
        this.#own = undefined
      }
    }
    this.#haveBytes += chunk.length
  }

  /** The next whole message, a view of what arrived. Throws HTTP_BODY_TOO_LARGE as soon as its length is known. */
  next(): Frame | undefined {
    if (this.#haveBytes < PREFIX_BYTES) return undefined
    const head = this.#own ?? this.#front(PREFIX_BYTES)
    const sizeBytes = head.readUInt32BE(1)
    if (sizeBytes > this.limitBytes) throw HttpErrors.BODY_TOO_LARGE({ limitBytes: this.limitBytes, sizeBytes })
    const wholeBytes = PREFIX_BYTES + sizeBytes
    if (this.#haveBytes < wholeBytes) {
      if (this.#own === undefined && wholeBytes > LARGE_BODY_BYTES && this.#haveBytes * TRUSTED_SHARE >= wholeBytes)
        this.#makeRoom(wholeBytes)
      return undefined
    }
    if (this.#own !== undefined) {
      this.#chunks.push(this.#own)
      this.#own = undefined
    }
    const first = this.#front(wholeBytes)
    this.#haveBytes -= wholeBytes
    if (first.length === wholeBytes) this.#chunks.shift()
    else this.#chunks[0] = first.subarray(wholeBytes)
    return { message: first.subarray(PREFIX_BYTES, wholeBytes), isCompressed: first[0] === 1 }
  }

  /** The first chunk, with at least so many bytes in it. */
  #front(sizeBytes: number): Buffer {
    const first = this.#chunks[0]!
    if (first.length >= sizeBytes) return first
    // Large messages have a buffer of their own, so that this never joins much.
    const joined = Buffer.concat(this.#chunks)
    this.#chunks = [joined]
    return joined
  }

  #makeRoom(wholeBytes: number): void {
    const own = Buffer.allocUnsafeSlow(wholeBytes)
    let at = 0
    for (const chunk of this.#chunks) at += chunk.copy(own, at)
    this.#chunks = []
    this.#own = own
  }
}
