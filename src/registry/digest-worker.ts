// Hashes files, one after the other, until it is told that no more come. Synchronous reads are right here: nothing else runs on this thread.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'

export interface DigestReply {
  readonly file: string
  readonly hex?: string
  readonly error?: Error
}

const port = parentPort!
const buffer = Buffer.allocUnsafe(1024 * 1024)

function hexOf(path: string): string {
  const hash = createHash('sha256')
  const file = openSync(path, 'r')
  try {
    for (;;) {
      const bytes = readSync(file, buffer)
      if (bytes === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, bytes))
    }
  } finally {
    closeSync(file)
  }
}

function reply(file: string): DigestReply {
  try {
    return { file, hex: hexOf(file) }
  } catch (error) {
    return { file, error: error as Error }
  }
}

port.on('message', (file: string | undefined) => {
  if (file === undefined) port.close()
  else port.postMessage(reply(file))
})
