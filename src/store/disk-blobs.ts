// The embedded Blobs: a file per key. A blob appears by a rename after its bytes and before its folder are synced, so what is
// there is whole; what a killed process had begun lies in `.incoming` and is removed at the next start.
import { createHash } from 'node:crypto'
import { type FileHandle, open, opendir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import type { Digest, Platform } from '../core/index.js'
import { checkBlobKey, isPart } from './blob-key.js'
import { makeFolder, syncFolder } from './durable-folder.js'
import { StoreErrors } from './errors.js'
import type { BlobInfo, Blobs, ByteRange } from './types.js'

// No key has a part that starts with a dot.
const INCOMING = '.incoming'
/** Hashing this much takes 0.2 ms; a larger chunk is hashed and written in slices. */
const SLICE_BYTES = 256 * 1024

export interface DiskBlobsOptions {
  /** Another process of this server owns the folder: what is being written there is left alone. Default false. */
  readonly isShared?: boolean
}

/**
 * Blobs under `folder`, which is made. The folder must belong to this server alone (`lockFolder` on it or above it).
 * A key cannot be a blob and the folder of other blobs at once: the second put throws STORE_KEY_INVALID.
 */
export async function createDiskBlobs(
  folder: string,
  platform: Pick<Platform, 'ids'>,
  { isShared = false }: DiskBlobsOptions = {},
): Promise<Blobs> {
  const root = resolve(folder)
  const incoming = join(root, INCOMING)
  if (!isShared) await rm(incoming, { recursive: true, force: true })
  await makeFolder(incoming)

  const pathOf = (key: string): string => {
    checkBlobKey(key)
    return join(root, ...key.split('/'))
  }

  return {
    async put(key, body, expected) {
      const path = pathOf(key)
      const temporary = join(incoming, platform.ids.next())
      try {
        await write(temporary, key, body, expected)
        await makeFolder(dirname(path))
        await rename(temporary, path)
      } catch (error) {
        await rm(temporary, { force: true })
        if (hasCode(error, 'ENOTDIR', 'EEXIST', 'EISDIR', 'ENOTEMPTY')) {
          throw StoreErrors.KEY_INVALID({ key, reason: 'it is both a blob and the folder of other blobs' }, error)
        }
        throw error
      }
      await syncFolder(dirname(path))
    },

    async get(key, range) {
      const handle = await openBlob(pathOf(key), key)
      try {
        const { start, end } = await bytesOf(handle, key, range)
        // A stream's `end` is inclusive, so that an empty range has no form there.
        if (start < end) return handle.createReadStream({ start, end: end - 1 })
      } catch (error) {
        await handle.close()
        throw error
      }
      await handle.close()
      return Readable.from([])
    },

    list: (prefix) => walk(root, prefix),

    async remove(key) {
      const path = pathOf(key)
      try {
        await rm(path)
      } catch (error) {
        if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'ERR_FS_EISDIR')) return
        throw error
      }
      await syncFolder(dirname(path))
    },
  }
}

async function write(path: string, key: string, body: Readable, expected: Digest | undefined): Promise<void> {
  const hash = expected === undefined ? undefined : createHash('sha256')
  const handle = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of body) {
      // Text streams give strings; anything but bytes and text throws here.
      const bytes: Uint8Array = chunk instanceof Uint8Array ? chunk : Buffer.from(chunk as string)
      for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
        const slice = bytes.subarray(at, at + SLICE_BYTES)
        hash?.update(slice)
        for (let done = 0; done < slice.length; ) done += (await handle.write(slice, done)).bytesWritten
      }
    }
    const actual = hash && `sha256:${hash.digest('hex')}`
    if (actual !== expected) {
      throw StoreErrors.DIGEST_MISMATCH({ key, expected: String(expected), actual: String(actual) })
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function openBlob(path: string, key: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) throw StoreErrors.BLOB_NOT_FOUND({ key }, error)
    throw error
  }
}

async function bytesOf(handle: FileHandle, key: string, range: ByteRange | undefined) {
  const info = await handle.stat()
  if (!info.isFile()) throw StoreErrors.BLOB_NOT_FOUND({ key })
  const start = range?.start ?? 0
  const end = Math.min(range?.end ?? info.size, info.size)
  if (!Number.isInteger(start) || start < 0 || start > end) {
    throw StoreErrors.RANGE_INVALID({ key, start, end: range?.end, sizeBytes: info.size })
  }
  return { start, end }
}

async function* walk(root: string, prefix: string): AsyncGenerator<BlobInfo> {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (folder !== '') checkBlobKey(folder.slice(0, -1))
  yield* walkFolder(root, folder, prefix)
}

/** `folder` is empty or ends with `/`. Blobs that are removed meanwhile are left out. */
async function* walkFolder(root: string, folder: string, prefix: string): AsyncGenerator<BlobInfo> {
  try {
    for await (const entry of await opendir(join(root, folder))) {
      if (!isPart(entry.name)) continue
      const key = folder + entry.name
      if (entry.isDirectory()) {
        if (`${key}/`.startsWith(prefix)) yield* walkFolder(root, `${key}/`, prefix)
      } else if (entry.isFile() && key.startsWith(prefix)) {
        const info = await stat(join(root, key)).catch(ignoreMissing)
        if (info) yield { key, sizeBytes: info.size }
      }
    }
  } catch (error) {
    ignoreMissing(error)
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as { code?: string }).code ?? '')
}
