import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { registryContract } from '../../test/contract/registry.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../../test/support/postgres.js'
import { ADA, openTestRegistry } from '../../test/support/registry.js'
import { S3_ENVIRONMENT, s3Missing, startS3, type TestS3 } from '../../test/support/s3.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { systemClock, testPlatform } from '../core/index.js'
import { type Blobs, createDiskBlobs, createS3Blobs, openPostgres, openSql } from '../store/index.js'
import { blobKey } from './service.js'

describe('the registry on SQLite and disk', () => {
  registryContract(openTestRegistry)
})

describe('a collection that meets a push', () => {
  it('lets it wait until the blob is gone, and then takes the bytes again', async () => {
    const folder = tempFolder()
    const platform = testPlatform()
    await mkdir(join(folder, 'blobs'))
    const disk = await createDiskBlobs(join(folder, 'blobs'), platform)
    let isRemoving = (): void => undefined
    const removing = new Promise<void>((resolve) => (isRemoving = resolve))
    let goOn = (): void => undefined
    const mayGoOn = new Promise<void>((resolve) => (goOn = resolve))
    const blobs: Blobs = {
      put: (...args) => disk.put(...args),
      get: (...args) => disk.get(...args),
      list: (prefix) => disk.list(prefix),
      async remove(key) {
        isRemoving()
        await mayGoOn
        await disk.remove(key)
      },
    }
    const sql = await openSql({ file: join(folder, 'metadata.db'), platform })
    const { put, register, registry, clock } = await openTestRegistry({}, { sql, blobs })
    await put({ 'a.txt': 'the same' })
    clock.advance(2 * 86_400_000)
    const collecting = registry.gc({ by: ADA })
    await removing
    let isPushed = false
    const pushing = register('m', { 'a.txt': 'the same' }).finally(() => (isPushed = true))
    goOn()
    expect(await collecting).toMatchObject({ blobs: 1 })
    await expect
      .poll(
        () => {
          clock.advance(50)
          return isPushed
        },
        { timeout: 30_000 },
      )
      .toBe(true)
    const { version } = await pushing
    ;(await disk.get(blobKey(version.files[0]!.digest))).destroy()
    expect(await registry.gc({ by: ADA })).toMatchObject({ blobs: 0, keptBlobs: 1 })
  })
})

const missing = postgresMissing() ?? s3Missing()

describe.skipIf(missing)(`the registry on Postgres and S3${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const platform = testPlatform({ clock: systemClock })
  let postgres: TestPostgres
  let s3: TestS3
  beforeAll(async () => {
    for (const [name, value] of Object.entries(S3_ENVIRONMENT)) vi.stubEnv(name, value)
    postgres = await startPostgres()
    s3 = await startS3()
  }, 120_000)
  afterAll(async () => {
    await postgres?.stop()
    await s3?.stop()
    vi.unstubAllEnvs()
  })
  it('gives pushes that race on two nodes different numbers, and one number to the same content', async () => {
    const [url, bucket] = [await postgres.schema(), await s3.bucket()]
    const node = async () =>
      openTestRegistry(
        {},
        {
          sql: await openPostgres({ url, platform }),
          blobs: await createS3Blobs({ url: bucket, environment: S3_ENVIRONMENT, platform }),
        },
      )
    const [one, two] = [await node(), await node()]
    const different = await Promise.all(
      Array.from({ length: 6 }, (_, i) => (i % 2 === 0 ? one : two).register('m', { 'a.txt': `content ${i}` })),
    )
    expect(different.map(({ version }) => version.version).sort()).toEqual([1, 2, 3, 4, 5, 6])
    const same = await Promise.all([one, two, one, two].map(({ register }) => register('m', { 'a.txt': 'the same' })))
    expect(same.map(({ version }) => version.version)).toEqual([7, 7, 7, 7])
    expect(same.filter(({ isNew }) => isNew)).toHaveLength(1)
  })

  registryContract(async (given) =>
    openTestRegistry(given, {
      sql: await openPostgres({ url: await postgres.schema(), platform }),
      blobs: await createS3Blobs({ url: await s3.bucket(), environment: S3_ENVIRONMENT, platform }),
    }),
  )
})
