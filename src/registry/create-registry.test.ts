import { afterAll, beforeAll, describe, vi } from 'vitest'
import { registryContract } from '../../test/contract/registry.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../../test/support/postgres.js'
import { openTestRegistry } from '../../test/support/registry.js'
import { S3_ENVIRONMENT, s3Missing, startS3, type TestS3 } from '../../test/support/s3.js'
import { systemClock, testPlatform } from '../core/index.js'
import { createS3Blobs, openPostgres } from '../store/index.js'

describe('the registry on SQLite and disk', () => {
  registryContract(openTestRegistry)
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
  registryContract(async (given) =>
    openTestRegistry(given, {
      sql: await openPostgres({ url: await postgres.schema(), platform }),
      blobs: await createS3Blobs({ url: await s3.bucket(), environment: S3_ENVIRONMENT, platform }),
    }),
  )
})
