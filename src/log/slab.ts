// One of the two buffers between the request path and the disk: whole lines, then the commit line that seals them.
// Writes are all or nothing against a limit, so that a line that does not fit leaves no trace.
import { COMMIT_LINE_BYTES, commitLine } from './segment.js'
import type { LogPosition } from './types.js'

const NEWLINE = 10
const SPACE = 32

export class Slab {
  readonly bytes: Buffer
  /** Headers may fill up to here; the rest is for the commit line. */
  readonly headerLimit: number
  /** Payloads stop at three quarters, so that headers, which are never sampled, still find room. */
  readonly payloadLimit: number
  used = 0
  records = 0
  firstSeq: LogPosition = 0
  lastSeq: LogPosition = 0

  constructor(sizeBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(sizeBytes)
    this.headerLimit = sizeBytes - COMMIT_LINE_BYTES
    this.payloadLimit = Math.floor(this.headerLimit * 0.75)
  }

  /** Appends UTF-8 text when it ends at or before `limit`. */
  tryText(text: string, limit: number): boolean {
    // A UTF-16 unit is at most three bytes; only near the limit is the exact size worth counting.
    if (this.used + text.length * 3 > limit && this.used + Buffer.byteLength(text) > limit) return false
    this.used += this.bytes.write(text, this.used)
    return true
  }

  /** Appends a part of other bytes when it ends at or before `limit`. */
  tryBytes(from: Uint8Array, start: number, end: number, limit: number): boolean {
    if (this.used + end - start > limit) return false
    this.bytes.set(from.subarray(start, end), this.used)
    this.used += end - start
    return true
  }

  /** Appends JSON text as it is, except that newlines (only ever whitespace in valid JSON) become spaces: a line stays a line. */
  tryJson(json: Uint8Array | string, limit: number): boolean {
    const start = this.used
    if (typeof json === 'string') return this.tryText(oneLine(json), limit)
    if (start + json.length > limit) return false
    this.bytes.set(json, start)
    this.used = start + json.length
    // Called on the prototype because a plain Uint8Array's own indexOf is eight times slower.
    if (Buffer.prototype.indexOf.call(json, NEWLINE) !== -1) this.#blankNewlines(start)
    return true
  }

  #blankNewlines(start: number): void {
    for (
      let at = this.bytes.indexOf(NEWLINE, start);
      at !== -1 && at < this.used;
      at = this.bytes.indexOf(NEWLINE, at + 1)
    ) {
      this.bytes[at] = SPACE
    }
  }

  /** Ends the block. Nothing may be appended until `clear`. */
  seal(timeMs: number): void {
    this.used += this.bytes.write(commitLine(this.bytes.subarray(0, this.used), this.lastSeq, timeMs), this.used)
  }

  clear(): void {
    this.used = 0
    this.records = 0
  }
}

/** JSON text without newlines: they are only ever whitespace in it. */
export function oneLine(json: string): string {
  return json.includes('\n') ? json.replaceAll('\n', ' ') : json
}
