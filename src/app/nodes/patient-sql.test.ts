import { expect, it } from 'vitest'
import { type Sql, StoreErrors } from '../../store/index.js'
import { patient } from './patient-sql.js'

it('puts steps off that the store went away in the middle of, so that the node starts all the same', async () => {
  const file = 'postgres://db'
  const errors = [
    StoreErrors.OUTCOME_UNKNOWN({ file, reason: 'Connection terminated' }),
    StoreErrors.UNAVAILABLE({ file, reason: 'refused' }),
  ]
  let asked = 0
  const migrate = async () => {
    asked++
    const error = errors.shift()
    if (error) throw error
  }
  const sql = patient({ migrate } as unknown as Sql)
  await sql.migrate('releases', {})
  expect(asked).toBe(2)
  await sql.migrateDue()
  await sql.migrateDue()
  expect(asked).toBe(3)
})
