// SHA-256 of files, off the event loop: hashing runs at about 1 GB/s. Files of a few megabytes, of which there may be a thousand, are read
// whole and hashed in Node's thread pool; a large one is hashed piece by piece by a thread of its own, which takes 30 ms to start.
import { createHash, webcrypto } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { type Digest, workerFile } from '../core/index.js'

/** Sending a file to the thread pool costs more than hashing so little here, which takes some tens of microseconds. */
const INLINE_BYTES = 32 * 1024
const WHOLE_BYTES = 8 * 1024 * 1024

/** The digest of a file's bytes; rejects with the file system's error when it cannot be read. */
export async function fileDigest(file: string): Promise<Digest> {
  const { size } = await stat(file)
  if (size <= INLINE_BYTES)
    return asDigest(
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    )
  if (size <= WHOLE_BYTES)
    return asDigest(Buffer.from(await webcrypto.subtle.digest('SHA-256', await readFile(file))).toString('hex'))
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
