import { afterAll, beforeAll, describe } from 'vitest'
import { decisionsContract } from '../../test/contract/decisions.js'
import { leaderContract } from '../../test/contract/leader-lease.js'
import type { OpenSql } from '../../test/contract/sql.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../../test/support/postgres.js'
import { systemClock, testPlatform } from '../core/index.js'
import { openPostgres } from '../store/index.js'

const missing = postgresMissing()

describe.skipIf(missing)(`on Postgres${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let postgres: TestPostgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 60_000)
  afterAll(() => postgres?.stop())

  const inSchema = (): OpenSql => {
    const url = postgres.schema()
    return async () => openPostgres({ url: await url, platform: testPlatform({ clock: systemClock }) })
  }

  describe('decisions', () => decisionsContract(inSchema))
  describe('a leader lease', () => leaderContract(inSchema))
})
