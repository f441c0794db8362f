// The memory that request bodies and large replies may take at once, over all connections. What would not fit is refused before
// it is read. Bodies of a size that clients rarely send leave an eighth of the room to the small ones, so that a few slow
// uploads cannot keep everybody else out.
import type { ServerResponse } from 'node:http'
import type { Gauge, Platform } from '../core/index.js'
import { HttpErrors } from './errors.js'

/** Bodies above this are large. */
export const LARGE_BODY_BYTES = 128 * 1024

const RETRY_AFTER_MS = 1000

export interface IntakeOptions {
  readonly platform: Pick<Platform, 'metrics'>
  readonly maxBytes: number
  /** How long a client may stop reading a large reply before its connection is closed. */
  readonly stallMs: number
}

export class Intake {
  readonly #maxBytes: number
  readonly #maxLargeBytes: number
  readonly #stallMs: number
  readonly #gauge: Gauge
  #heldBytes = 0

  constructor({ platform, maxBytes, stallMs }: IntakeOptions) {
    this.#maxBytes = maxBytes
    this.#maxLargeBytes = maxBytes - Math.floor(maxBytes / 8)
    this.#stallMs = stallMs
    this.#gauge = platform.metrics
      .gauge({ name: 'headrace_buffered_bytes', help: 'Request bodies and large replies that are held in memory.' })
      .with()
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * Takes room for a body of `sizeBytes`, or for that much more of one that has `alreadyBytes`. Each taking is given back once.
   * Throws HTTP_BODIES_FULL. A body is always taken when nothing else is held: told to come back, it would never be.
   */
  take(sizeBytes: number, alreadyBytes = 0): void {
    const others = this.#heldBytes - alreadyBytes
    const limitBytes = sizeBytes + alreadyBytes > LARGE_BODY_BYTES ? this.#maxLargeBytes : this.#maxBytes
    if (others > 0 && this.#heldBytes + sizeBytes > limitBytes)
      throw HttpErrors.BODIES_FULL({
        sizeBytes: sizeBytes + alreadyBytes,
        heldBytes: others,
        limitBytes,
        retryAfterMs: RETRY_AFTER_MS,
      })
    this.#heldBytes += sizeBytes
    this.#gauge.set(this.#heldBytes)
  }

  give(sizeBytes: number): void {
    this.#heldBytes -= sizeBytes
    this.#gauge.set(this.#heldBytes)
  }

  /** Counts what is there already and cannot be refused; to be given back. */
  hold(sizeBytes: number): void {
    this.#heldBytes += sizeBytes
    this.#gauge.set(this.#heldBytes)
  }

  /** Counts a large reply until its client has read it, and gives up on a client that stops reading. */
  holdReply(response: ServerResponse, sizeBytes: number): void {
    if (sizeBytes <= LARGE_BODY_BYTES || response.closed) return
    this.hold(sizeBytes)
    response.setTimeout(this.#stallMs, () => response.destroy())
    response.once('close', () => this.give(sizeBytes))
  }
}
