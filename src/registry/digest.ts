// SHA-256 of files. Hashing runs at about 1 GB/s, so a large file, or the thousandth small one, is hashed by a thread of its own: the event
// loop must not stop for it, and a stream's many small updates on the loop would still take that time from requests. Node's own thread
// pool is no help: what it hashes is copied first, on the event loop.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { type Digest, workerFile } from '../core/index.js'
import type { DigestReply } from './digest-worker.js'

// 1 MiB takes about 1 ms to hash, well below the 5 ms that the event loop may stop for; a thread takes 30 ms to start.
const INLINE_BYTES = 1024 * 1024
/** With more than so many at once the thread is worth its start. */
const MAX_INLINE = 4

let inline = 0
let thread: DigestThread | undefined

/** The digest of a file's bytes; rejects with the file system's error when it cannot be read. */
export async function fileDigest(file: string): Promise<Digest> {
  const { size } = await stat(file)
  if (size <= INLINE_BYTES && inline < MAX_INLINE) return inlineDigest(file)
  if (thread === undefined || thread.hasEnded) thread = new DigestThread()
  return thread.digest(file)
}

async function inlineDigest(file: string): Promise<Digest> {
  inline++
  try {
    const bytes = await readFile(file)
    return asDigest(createHash('sha256').update(bytes).digest('hex'))
  } finally {
    inline--
  }
}

interface Asked {
  resolve(digest: Digest): void
  reject(error: Error): void
}

/** Ends when everything that was asked has its answer. */
class DigestThread {
  hasEnded = false
  readonly #worker = new Worker(workerFile(import.meta.url, './digest-worker.js'))
  /** By file; those who ask for the same share its answer. */
  readonly #asked = new Map<string, Asked[]>()

  constructor() {
    this.#worker.on('message', ({ file, hex, error }: DigestReply) => {
      const asked = this.#asked.get(file)!
      this.#asked.delete(file)
      for (const { resolve, reject } of asked) {
        if (hex === undefined) reject(error!)
        else resolve(asDigest(hex))
      }
      if (this.#asked.size === 0) this.#end()
    })
    this.#worker.once('error', (error: Error) => this.#fail(error))
    this.#worker.once('exit', () => this.#fail(new Error('The thread that hashes files ended without an answer.')))
  }

  digest(file: string): Promise<Digest> {
    return new Promise((resolve, reject) => {
      const asked = this.#asked.get(file)
      if (asked !== undefined) {
        asked.push({ resolve, reject })
        return
      }
      this.#asked.set(file, [{ resolve, reject }])
      this.#worker.postMessage(file)
    })
  }

  #end(): void {
    this.hasEnded = true
    this.#worker.postMessage(undefined)
  }

  #fail(error: Error): void {
    this.hasEnded = true
    for (const asked of this.#asked.values()) for (const { reject } of asked) reject(error)
    this.#asked.clear()
  }
}

function asDigest(hex: string): Digest {
  return `sha256:${hex}` as Digest
}
