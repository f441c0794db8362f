// Reads a segment block by block, checking each, and stops at the first that is not complete yet; calling again later
// continues there, so the same reader recovers, follows, searches and compacts. It holds one block in memory.
// It keeps its file open: a segment that retention replaces meanwhile is read to its end in its old form.
import type { LogFile, LogFiles } from './files.js'
import { findCommit, readCommit, type Segment } from './segment.js'
import type { LogPosition } from './types.js'

export interface Block {
  /** Record lines, each with its newline; valid until the next call of `next`. */
  readonly lines: Buffer
  readonly lastSeq: LogPosition
  /** When it was committed. */
  readonly timeMs: number
  /** Offset in the file after its commit line. */
  readonly endOffset: number
}

/** Bytes of a segment that belong to no valid block. */
export interface Damage {
  readonly segment: string
  readonly offset: number
  readonly sizeBytes: number
}

const CHUNK_BYTES = 256 * 1024
// Far above any buffer: a block that has not ended by then is taken for damage, so that memory stays bounded.
const MAX_BLOCK_BYTES = 1024 * 1024 * 1024

export class BlockReader {
  #buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  /** The buffer holds the file's bytes [#offset, #offset + #filled); blocks before #start are done. */
  #offset = 0
  #filled = 0
  #start = 0
  /** No commit line begins in [#start, #scanned). */
  #scanned = 0
  /** Where in the file a commit line failed its check once. */
  #suspect = -1

  private constructor(
    readonly segment: Segment,
    private readonly file: LogFile,
    private readonly onDamage: (damage: Damage) => void,
  ) {}

  /** Undefined when the segment is not there any more. */
  static async open(
    files: LogFiles,
    segment: Segment,
    onDamage: (damage: Damage) => void,
  ): Promise<BlockReader | undefined> {
    try {
      return new BlockReader(segment, await files.open(segment.path, 'r'), onDamage)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Where the last complete block ended. */
  get endOffset(): number {
    return this.#offset + this.#start
  }

  /** The next complete block; undefined when the file has no more at present. */
  async next(): Promise<Block | undefined> {
    for (;;) {
      const found = findCommit(this.#buffer.subarray(0, this.#filled), this.#scanned)
      if (found) {
        const after = found.end + 1
        const commit = readCommit(this.#buffer, this.#start, found.start, found.end)
        if (!commit && this.#suspect < this.#offset + found.start) {
          // It may have been read while it was written: only bytes that are read again and still wrong are damage.
          this.#suspect = this.#offset + found.start
          this.#filled = this.#start
          this.#scanned = this.#start
          continue
        }
        this.#scanned = after
        if (!commit) continue
        const linesStart = found.start - commit.bytes
        this.#reportDamage(linesStart)
        this.#start = after
        const lines = this.#buffer.subarray(linesStart, found.start)
        return { lines, lastSeq: commit.lastSeq, timeMs: commit.timeMs, endOffset: this.endOffset }
      }
      if (!(await this.#fill())) return undefined
    }
  }

  /** For a segment that will not grow any more: reports bytes after the last block, if there are any. */
  async reportTail(): Promise<void> {
    // Asked for again, because a failed block that was read may have been cut off since.
    const sizeBytes = (await this.file.size()) - this.endOffset
    if (sizeBytes > 0) this.onDamage({ segment: this.segment.name, offset: this.endOffset, sizeBytes })
  }

  close(): Promise<void> {
    return this.file.close()
  }

  #reportDamage(end: number): void {
    if (end === this.#start) return
    this.onDamage({ segment: this.segment.name, offset: this.endOffset, sizeBytes: end - this.#start })
  }

  /** Reads on; false at the end of the file. */
  async #fill(): Promise<boolean> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#filled)
      this.#offset += this.#start
      this.#filled -= this.#start
      this.#scanned -= this.#start
      this.#start = 0
    }
    if (this.#filled === this.#buffer.length) {
      if (this.#filled >= MAX_BLOCK_BYTES) return false
      const larger = Buffer.allocUnsafe(this.#buffer.length * 2)
      this.#buffer.copy(larger, 0, 0, this.#filled)
      this.#buffer = larger
    }
    const room = this.#buffer.length - this.#filled
    const read = await this.file.read(this.#buffer, this.#filled, room, this.#offset + this.#filled)
    this.#filled += read
    return read > 0
  }
}
