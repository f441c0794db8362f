// Walks a log's segments in order, block by block, while they grow, roll, shrink by retention or vanish.
import { type Block, BlockReader, type Damage } from './block-reader.js'
import type { LogFiles } from './files.js'
import { listSegments, type Segment } from './segment.js'
import type { LogPosition } from './types.js'

export class LogCursor {
  #reader: BlockReader | undefined
  #position: LogPosition

  constructor(
    private readonly files: LogFiles,
    private readonly folder: string,
    from: LogPosition,
    private readonly onDamage: (damage: Damage) => void,
  ) {
    this.#position = from
  }

  /** The next block that may hold records from the start position on; undefined when there is none at present. */
  async next(): Promise<Block | undefined> {
    for (;;) {
      const reader = this.#reader
      const block = (await reader?.next()) ?? (await this.#advance(reader))
      if (block === 'end') return undefined
      if (block === 'again') continue
      this.#position = block.lastSeq + 1
      return block
    }
  }

  /** Moves on from a reader at its end. */
  async #advance(reader: BlockReader | undefined): Promise<Block | 'again' | 'end'> {
    const segment = await this.#segmentAfter(reader?.segment.firstSeq)
    if (!segment) {
      // A first block that failed to be written is written again in a new file of the same name: look again next time.
      if (reader?.endOffset === 0) await this.close()
      return 'end'
    }
    if (reader) {
      // The newer segment was made after this one's last block, which may have come after the last read.
      const last = await reader.next()
      if (last) return last
      await reader.reportTail()
      await this.close()
    }
    // Undefined when retention removed it just now; then the next round lists again.
    this.#reader = await BlockReader.open(this.files, segment, this.onDamage)
    return 'again'
  }

  async close(): Promise<void> {
    const reader = this.#reader
    this.#reader = undefined
    await reader?.close()
  }

  /** The segment to read after the one starting at `done`, or the first of all to read. */
  async #segmentAfter(done: LogPosition | undefined): Promise<Segment | undefined> {
    const segments = await listSegments(this.files, this.folder)
    if (done !== undefined) return segments.find((segment) => segment.firstSeq > done)
    return segments.findLast((segment) => segment.firstSeq <= this.#position) ?? segments[0]
  }
}
