// Reads a file of the memory store, as far as it is whole.
import { type FileHandle, open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { AFTER_LOSS_MAGIC, FRAME_HEAD_BYTES, MAGIC } from './journal-format.js'

const CHUNK_BYTES = 1 << 20

export interface ReadFile {
  /** Where the last whole transaction ends: what follows was being written when the process ended. */
  readonly wholeBytes: number
  /** Something was written and is not there as it was. */
  readonly isDamaged: boolean
}

/** What a file begins with; undefined when it is too short to say. */
export async function magicOf(path: string): Promise<Buffer | undefined> {
  const file = await open(path, 'r')
  try {
    return await new Source(file).next(MAGIC.length)
  } finally {
    await file.close()
  }
}

/** Gives the payloads of each whole transaction to `take`, which may take its time. */
export async function readTransactions(
  path: string,
  take: (payloads: readonly Buffer[]) => Promise<void>,
): Promise<ReadFile> {
  const file = await open(path, 'r')
  try {
    return await readFrames(file, take)
  } finally {
    await file.close()
  }
}

async function readFrames(file: FileHandle, take: (payloads: readonly Buffer[]) => Promise<void>): Promise<ReadFile> {
  const source = new Source(file)
  const magic = await source.next(MAGIC.length)
  if (magic === undefined) return { wholeBytes: 0, isDamaged: false }
  if (!magic.equals(MAGIC) && !magic.equals(AFTER_LOSS_MAGIC)) return { wholeBytes: 0, isDamaged: true }
  let wholeBytes = MAGIC.length
  let at = MAGIC.length
  let payloads: Buffer[] = []
  for (;;) {
    const head = await source.next(FRAME_HEAD_BYTES)
    const length = head?.readUInt32LE(0) ?? 0
    // A file can be longer than what reached the disk: it then ends in zeros.
    if (head === undefined || length === 0) return { wholeBytes, isDamaged: false }
    const crc = head.readUInt32LE(4)
    const payload = await source.next(length)
    if (payload === undefined) return { wholeBytes, isDamaged: false }
    if (crc32(payload) !== crc) return { wholeBytes, isDamaged: await source.hasMore() }
    at += FRAME_HEAD_BYTES + length
    payloads.push(payload)
    if (payload[0] !== 1) continue
    await take(payloads)
    payloads = []
    wholeBytes = at
  }
}

/** Bytes of a file, in order, read in large pieces. */
class Source {
  #chunk = Buffer.alloc(0)
  #at = 0

  constructor(private readonly file: FileHandle) {}

  /** undefined when fewer are left. Valid until the next call. */
  async next(sizeBytes: number): Promise<Buffer | undefined> {
    if (!(await this.#fill(sizeBytes))) return undefined
    const start = this.#at
    this.#at += sizeBytes
    return this.#chunk.subarray(start, this.#at)
  }

  hasMore(): Promise<boolean> {
    return this.#fill(1)
  }

  async #fill(sizeBytes: number): Promise<boolean> {
    while (this.#chunk.length - this.#at < sizeBytes) {
      const left = this.#chunk.subarray(this.#at)
      // A length that damage made up is not allocated: the file grows the chunk as it is read.
      const more = Buffer.allocUnsafe(CHUNK_BYTES)
      const { bytesRead } = await this.file.read(more, 0, more.length)
      if (bytesRead === 0) return false
      this.#chunk = Buffer.concat([left, more.subarray(0, bytesRead)])
      this.#at = 0
    }
    return true
  }
}
