// Puts a file's bytes into the blob store under their digest.
import { createReadStream } from 'node:fs'
import type { Digest } from '../core/index.js'
import type { Blobs } from '../store/index.js'
import { fileDigest } from './digest.js'
import { RegistryErrors } from './errors.js'
import { blobKey } from './service.js'

/** Streams; the digest is taken off the event loop, from the file. Throws REGISTRY_SOURCE_CHANGED. */
export async function putFile(blobs: Blobs, file: string, digest: Digest): Promise<void> {
  if ((await fileDigest(file)) !== digest) throw RegistryErrors.SOURCE_CHANGED({ file })
  await blobs.put(blobKey(digest), createReadStream(file, { highWaterMark: 1024 * 1024 }))
}
