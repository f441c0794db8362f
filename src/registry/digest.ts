// SHA-256 of files. Hashing runs at about 1 GB/s, so a large file is hashed by a thread of its own: the event loop must
// not stop for it, and a stream's many small updates on the loop would still take that time from requests.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { type Digest, workerFile } from '../core/index.js'

// 1 MiB takes about 1 ms to hash, well below the 5 ms that the event loop may stop for; a thread takes 30 ms to start.
const INLINE_BYTES = 1024 * 1024

/** The digest of a file's bytes; rejects with the file system's error when it cannot be read. */
export async function fileDigest(file: string): Promise<Digest> {
  const { size } = await stat(file)
  if (size <= INLINE_BYTES)
    return asDigest(
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    )
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerFile(import.meta.url, './digest-worker.js'), { workerData: file })
    worker.once('message', (hex: string) => resolve(asDigest(hex)))
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error(`The thread that hashed "${file}" ended without an answer.`)))
  })
}

function asDigest(hex: string): Digest {
  return `sha256:${hex}` as Digest
}
