import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { trackingContract } from '../../test/contract/tracking.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../../test/support/postgres.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { systemClock, testPlatform } from '../core/index.js'
import { openPostgres, openSql } from '../store/index.js'

const missing = postgresMissing()

describe('tracking on SQLite', () => {
  trackingContract(() => openSql({ file: join(tempFolder(), 'metadata.db'), platform: testPlatform() }))
})

describe.skipIf(missing)(`tracking on Postgres${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let postgres: TestPostgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 60_000)
  afterAll(() => postgres?.stop())
  trackingContract(async () =>
    openPostgres({ url: await postgres.schema(), platform: testPlatform({ clock: systemClock }) }),
  )
})
