// Takes an artifact in: its bytes go to disk as they arrive and never into memory, then into the blob store by their digest, and only
// then it has a name. What was cut off leaves nothing.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type App, uploadsFolder } from '../../app/index.js'
import type { Digest } from '../../core/index.js'
import { blobKey } from '../../registry/index.js'
import { MlflowErrors } from './errors.js'

const CHUNK_BYTES = 1024 * 1024

export async function storeArtifact(app: App, path: string, body: Readable): Promise<void> {
  const folder = uploadsFolder(app.project)
  await mkdir(folder, { recursive: true })
  const file = join(folder, `artifact-${app.platform.ids.next()}`)
  try {
    const { digest, sizeBytes } = await receive(path, body, file)
    const missing = await app.services.registry.claimBlobs([{ digest, sizeBytes }])
    if (missing.length > 0)
      await app.blobs.put(blobKey(digest), createReadStream(file, { highWaterMark: CHUNK_BYTES }), digest)
    await app.services.tracking.putArtifact({ path, digest, sizeBytes })
  } finally {
    await rm(file, { force: true })
  }
}

async function receive(path: string, body: Readable, file: string): Promise<{ digest: Digest; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  async function* hashed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk)
      sizeBytes += chunk.length
      yield chunk
    }
  }
  try {
    await pipeline(body, hashed, createWriteStream(file, { mode: 0o600 }))
  } catch (error) {
    const isCut = (error as NodeJS.ErrnoException).code === 'ECONNRESET' || body.errored !== null
    throw isCut ? MlflowErrors.UPLOAD_CUT({ path }, error) : error
  }
  return { digest: `sha256:${hash.digest('hex')}` as Digest, sizeBytes }
}
