// Against a real S3 server (moto), so that what the SDK sends is understood by something else than itself.
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { blobsContract, digestOf } from '../../test/contract/blobs.js'
import { S3_ENVIRONMENT, s3Missing, startS3, type TestS3 } from '../../test/support/s3.js'
import { ManualClock, systemClock, testPlatform } from '../core/index.js'
import { createS3Blobs } from './index.js'
import { s3Place } from './s3-place.js'

const missing = s3Missing()

describe.skipIf(missing)(`blobs in S3${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let s3: TestS3
  beforeAll(async () => {
    for (const [name, value] of Object.entries(S3_ENVIRONMENT)) vi.stubEnv(name, value)
    s3 = await startS3()
  }, 90_000)
  afterAll(async () => {
    vi.unstubAllEnvs()
    await s3?.stop()
  })

  const open = async (url?: string) =>
    createS3Blobs({
      url: url ?? (await s3.bucket()),
      environment: S3_ENVIRONMENT,
      platform: testPlatform({ clock: systemClock }),
      partBytes: 5 * 2 ** 20,
    })

  blobsContract(open)

  it('keeps a blob of many parts, and nothing of one whose digest is wrong or whose source fails', async () => {
    const url = await s3.bucket()
    const blobs = await open(url)
    const piece = Buffer.alloc(1_000_003, 'headrace')
    const pieces = () => Array.from({ length: 13 }, () => piece)
    const hash = createHash('sha256')
    for (const one of pieces()) hash.update(one)
    await blobs.put('large', Readable.from(pieces()), `sha256:${hash.digest('hex')}` as never)
    const read = await buffer(await blobs.get('large'))
    expect(read.length).toBe(13 * piece.length)
    expect(read.equals(Buffer.concat(pieces()))).toBe(true)

    const wrong = blobs.put('wrong', Readable.from(pieces()), digestOf(Buffer.from('other')))
    await expect(wrong).rejects.toMatchObject({ code: 'STORE_DIGEST_MISMATCH' })
    const failure = new Error('connection lost')
    const failing = Readable.from(
      (async function* () {
        yield* pieces()
        throw failure
      })(),
    )
    await expect(blobs.put('failing', failing)).rejects.toBe(failure)
    const found: string[] = []
    for await (const { key } of blobs.list('')) found.push(key)
    expect(found).toEqual(['large'])
    const uploads = await fetch(`${s3.endpoint}/${new URL(url).hostname}?uploads`)
    expect(await uploads.text()).not.toContain('<UploadId>')
  }, 60_000)

  it('removes what a killed process had begun to upload when it is a day old, and nothing younger', async () => {
    const url = await s3.bucket()
    const bucket = new URL(url).hostname
    const begin = (key: string) => fetch(`${s3.endpoint}/${bucket}/${key}?uploads`, { method: 'POST' })
    const uploads = async () =>
      (await (await fetch(`${s3.endpoint}/${bucket}?uploads`)).text()).match(/<Key>.*?<\/Key>/g) ?? []
    await begin('some/prefix/cut')
    await begin('elsewhere/cut')
    const tidy = async (laterMs: number) => {
      const clock = new ManualClock(Date.now() + laterMs)
      await createS3Blobs({ url, environment: S3_ENVIRONMENT, platform: testPlatform({ clock }) })
      clock.advance(60_000)
    }
    await tidy(3_600_000)
    expect(await uploads()).toHaveLength(2)
    await tidy(25 * 3_600_000)
    await expect.poll(uploads, { timeout: 30_000 }).toEqual(['<Key>elsewhere/cut</Key>'])
  })

  it('says within seconds that the store is away', async () => {
    const blobs = await open('s3://nobody/prefix?endpoint=http://127.0.0.1:9')
    await expect(blobs.get('a')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retry: true,
      params: { file: 's3://nobody/prefix' },
    })
    await expect(blobs.put('a', Readable.from(['x']))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(
      open(`s3://no-such-bucket?endpoint=${s3.endpoint}`).then((other) => other.put('a', Readable.from(['x']))),
    ).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  }, 60_000)

  it('does not wait for a store that stands still', async () => {
    const blobs = await open()
    s3.freeze()
    try {
      const startedMs = performance.now()
      await expect(blobs.get('a')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect(performance.now() - startedMs).toBeLessThan(20_000)
    } finally {
      s3.thaw()
    }
    await expect(blobs.get('a')).rejects.toMatchObject({ code: 'STORE_BLOB_NOT_FOUND' })
  }, 60_000)
})

describe('the place of blobs in S3', () => {
  it('is read from the URL, and what it leaves out from the environment', () => {
    expect(s3Place('s3://models', {})).toEqual({
      bucket: 'models',
      folder: '',
      region: 'us-east-1',
      endpoint: undefined,
      isPathStyle: false,
      label: 's3://models',
    })
    const environment = { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: 'http://minio:9000' }
    expect(s3Place('s3://models/a/b/', environment)).toMatchObject({
      folder: 'a/b/',
      region: 'eu-west-1',
      endpoint: 'http://minio:9000',
      isPathStyle: true,
    })
    expect(s3Place('s3://models?region=x&endpoint=https://y&pathStyle=false', environment)).toMatchObject({
      region: 'x',
      endpoint: 'https://y',
      isPathStyle: false,
    })
  })

  it.each(['http://models', 's3://', 's3://key:secret@models', 's3://models?regoin=x', 's3://models?endpoint=minio'])(
    'is refused as %s',
    (url) => {
      expect(() => s3Place(url, {})).toThrow(expect.objectContaining({ code: 'STORE_BLOBS_INVALID' }))
    },
  )
})
