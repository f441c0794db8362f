// Hashes one file and ends. Synchronous reads are right here: nothing else runs on this thread.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

const hash = createHash('sha256')
const buffer = Buffer.allocUnsafe(1024 * 1024)
const file = openSync(workerData as string, 'r')
try {
  for (;;) {
    const bytes = readSync(file, buffer)
    if (bytes === 0) break
    hash.update(buffer.subarray(0, bytes))
  }
} finally {
  closeSync(file)
}
parentPort?.postMessage(hash.digest('hex'))
