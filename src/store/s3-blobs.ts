// Blobs in any S3-compatible store. A blob appears when its last byte is there and its digest is right: small ones are one request,
// large ones a multipart upload that is completed at the end. Calls fail within seconds when the store is away.
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type * as S3 from '@aws-sdk/client-s3'
import { HeadraceError, type Platform } from '../core/index.js'
import { checkBlobKey, isPart } from './blob-key.js'
import { StoreErrors } from './errors.js'
import { type S3Place, s3Place } from './s3-place.js'
import type { BlobInfo, Blobs } from './types.js'

export interface S3BlobsOptions {
  /** `s3://bucket/prefix?region=eu-central-1&endpoint=https://minio:9000&pathStyle=true` */
  readonly url: string
  /** AWS_REGION, AWS_ENDPOINT_URL and the credentials that the AWS SDK finds by itself. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly platform: Pick<Platform, 'clock' | 'logger'>
  /** Default 8 MiB; S3 takes no less than 5 MiB but for the last part. */
  readonly partBytes?: number
}

/** For an answer to begin. */
const ANSWER_MS = 4_000
/** For a part to be sent. */
const PART_MS = 60_000
const CONNECT_MS = 2_000
/** S3 takes 10,000 parts; they grow, so that 5 TB fit. */
const PARTS_OF_ONE_SIZE = 1_000
const PART_BYTES = 8 * 2 ** 20
const SLICE_BYTES = 256 * 1024
/** A start has better things to do. */
const TIDY_AFTER_MS = 60_000
/** What a killed process had begun to upload is removed when it is older. */
const ABANDONED_MS = 24 * 3_600_000

/** Nothing is asked of the store yet. Throws STORE_S3_MISSING, STORE_BLOBS_INVALID. */
export async function createS3Blobs({
  url,
  environment,
  platform,
  partBytes = PART_BYTES,
}: S3BlobsOptions): Promise<Blobs> {
  const place = s3Place(url, environment)
  const s3 = await loadSdk()
  const client = new s3.S3Client({
    region: place.region,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
    forcePathStyle: place.isPathStyle,
    maxAttempts: 2,
    // Newer kinds of checksum are not known to every store; ours is the digest.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: PART_MS },
  })
  const blobs = new S3Blobs(s3, client, place, platform, partBytes)
  platform.clock.after(TIDY_AFTER_MS, () => void blobs.removeAbandoned())
  return blobs
}

async function loadSdk(): Promise<typeof S3> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (error) {
    throw StoreErrors.S3_MISSING({}, error)
  }
}

class S3Blobs implements Blobs {
  constructor(
    private readonly s3: typeof S3,
    private readonly client: S3.S3Client,
    private readonly place: S3Place,
    private readonly platform: Pick<Platform, 'clock' | 'logger'>,
    private readonly partBytes: number,
  ) {}

  async put(key: string, body: Readable, expected?: string): Promise<void> {
    const at = this.#at(key)
    const hash = expected === undefined ? undefined : createHash('sha256')
    const check = () => {
      const actual = hash && `sha256:${hash.digest('hex')}`
      if (actual !== expected)
        throw StoreErrors.DIGEST_MISMATCH({ key, expected: String(expected), actual: String(actual) })
    }
    let upload: string | undefined
    const parts: S3.CompletedPart[] = []
    try {
      for await (const { bytes, isLast } of partsOf(body, this.partBytes, hash)) {
        if (isLast && upload === undefined) {
          check()
          await this.#send(key, PART_MS, (signal) =>
            this.client.send(new this.s3.PutObjectCommand({ ...at, Body: bytes, ContentLength: bytes.length }), signal),
          )
          return
        }
        upload ??= (
          await this.#send(key, ANSWER_MS, (signal) =>
            this.client.send(new this.s3.CreateMultipartUploadCommand(at), signal),
          )
        ).UploadId!
        const part = { ...at, UploadId: upload, PartNumber: parts.length + 1 }
        const { ETag } = await this.#send(key, PART_MS, (signal) =>
          this.client.send(
            new this.s3.UploadPartCommand({ ...part, Body: bytes, ContentLength: bytes.length }),
            signal,
          ),
        )
        parts.push({ ETag, PartNumber: part.PartNumber })
      }
      check()
      const complete = { ...at, UploadId: upload, MultipartUpload: { Parts: parts } }
      await this.#send(key, PART_MS, (signal) =>
        this.client.send(new this.s3.CompleteMultipartUploadCommand(complete), signal),
      )
    } catch (error) {
      body.destroy()
      if (upload !== undefined) await this.#abort(at.Key, upload)
      throw error
    }
  }

  async get(key: string, range?: { readonly start: number; readonly end?: number }): Promise<Readable> {
    const at = this.#at(key)
    let bytes: { Range: string } | undefined
    if (range !== undefined) {
      const head = await this.#send(key, ANSWER_MS, (signal) =>
        this.client.send(new this.s3.HeadObjectCommand(at), signal),
      )
      const sizeBytes = head.ContentLength ?? 0
      const end = Math.min(range.end ?? sizeBytes, sizeBytes)
      const { start } = range
      if (!Number.isInteger(start) || start < 0 || start > end)
        throw StoreErrors.RANGE_INVALID({ key, start, end: range.end, sizeBytes })
      if (start === end) return Readable.from([])
      bytes = { Range: `bytes=${start}-${end - 1}` }
    }
    const { Body } = await this.#send(key, ANSWER_MS, (signal) =>
      this.client.send(new this.s3.GetObjectCommand({ ...at, ...bytes }), signal),
    )
    return Body as Readable
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    if (folder !== '') checkBlobKey(folder.slice(0, -1))
    const { bucket, folder: base } = this.place
    let token: string | undefined
    do {
      const query = { Bucket: bucket, Prefix: base + prefix, ContinuationToken: token }
      const page = await this.#send(prefix, ANSWER_MS, (signal) =>
        this.client.send(new this.s3.ListObjectsV2Command(query), signal),
      )
      for (const { Key = '', Size = 0 } of page.Contents ?? []) {
        const key = Key.slice(base.length)
        if (key.split('/').every(isPart)) yield { key, sizeBytes: Size }
      }
      token = page.NextContinuationToken
    } while (token !== undefined)
  }

  async remove(key: string): Promise<void> {
    const at = this.#at(key)
    await this.#send(key, ANSWER_MS, (signal) => this.client.send(new this.s3.DeleteObjectCommand(at), signal))
  }

  /** In the background: a store that is away now is asked again at the next start. */
  async removeAbandoned(): Promise<void> {
    const { bucket, folder } = this.place
    try {
      const { Uploads = [] } = await this.#send('', ANSWER_MS, (signal) =>
        this.client.send(new this.s3.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: folder }), signal),
      )
      const beforeMs = this.platform.clock.nowMs() - ABANDONED_MS
      for (const { Key, UploadId, Initiated } of Uploads)
        if (Key !== undefined && UploadId !== undefined && (Initiated?.getTime() ?? 0) < beforeMs)
          await this.#abort(Key, UploadId)
    } catch (error) {
      this.platform.logger.debug({ err: error }, 'uploads that were not finished could not be looked for')
    }
  }

  async #abort(key: string, upload: string): Promise<void> {
    const which = { Bucket: this.place.bucket, Key: key, UploadId: upload }
    await this.#send(key, ANSWER_MS, (signal) =>
      this.client.send(new this.s3.AbortMultipartUploadCommand(which), signal),
    ).catch((error: unknown) =>
      // It is never seen, but paid for until it is a day old and removed.
      this.platform.logger.warn({ err: error, key }, 'an upload that failed could not be removed'),
    )
  }

  #at(key: string) {
    checkBlobKey(key)
    return { Bucket: this.place.bucket, Key: this.place.folder + key }
  }

  async #send<T>(
    key: string,
    limitMs: number,
    send: (options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const aborter = new AbortController()
    const timer = this.platform.clock.after(limitMs, () => aborter.abort())
    try {
      return await send({ abortSignal: aborter.signal })
    } catch (error) {
      throw this.#toStoreError(key, error, aborter.signal.aborted ? limitMs : undefined)
    } finally {
      timer.cancel()
    }
  }

  #toStoreError(key: string, error: unknown, waitedMs: number | undefined): HeadraceError {
    if (error instanceof HeadraceError) return error
    const { name = '', message = '', $metadata } = error as Partial<S3.S3ServiceException>
    const status = $metadata?.httpStatusCode
    if (name === 'NoSuchKey' || (name === 'NotFound' && status === 404))
      return StoreErrors.BLOB_NOT_FOUND({ key }, error)
    const reason = waitedMs !== undefined ? `it did not answer within ${waitedMs} ms` : message || name || String(error)
    const remedy =
      status === 403 || name === 'CredentialsProviderError'
        ? 'Check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role.'
        : 'Check that the store runs and that store.blobs names its bucket, region and endpoint.'
    return StoreErrors.UNAVAILABLE({ file: this.place.label, reason, remedy }, error)
  }
}

/** A body in parts of one size but the last, which is told. Sizes grow with their number. */
async function* partsOf(
  body: Readable,
  partBytes: number,
  hash: ReturnType<typeof createHash> | undefined,
): AsyncGenerator<{ bytes: Buffer; isLast: boolean }> {
  let pieces: Uint8Array[] = []
  let sizeBytes = 0
  let count = 0
  let limitBytes = partBytes
  for await (const chunk of body) {
    const whole: Uint8Array = chunk instanceof Uint8Array ? chunk : Buffer.from(chunk as string)
    for (let at = 0; at < whole.length; at += SLICE_BYTES) {
      const slice = whole.subarray(at, at + SLICE_BYTES)
      // Sent when more follows, so that the last part is known as such.
      if (sizeBytes >= limitBytes) {
        yield { bytes: Buffer.concat(pieces, sizeBytes), isLast: false }
        pieces = []
        sizeBytes = 0
        if (++count % PARTS_OF_ONE_SIZE === 0) limitBytes *= 2
      }
      hash?.update(slice)
      pieces.push(slice)
      sizeBytes += slice.length
    }
  }
  yield { bytes: Buffer.concat(pieces, sizeBytes), isLast: true }
}
