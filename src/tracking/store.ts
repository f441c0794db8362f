// What every operation here is made with.
import type { Kysely, Transaction } from 'kysely'
import { HeadraceError, type Platform } from '../core/index.js'
import type { Sql } from '../store/index.js'
import type { SearchLimits } from './search/search-runs.js'
import type { TrackingTables } from './tables.js'

export interface TrackingContext {
  readonly sql: Sql
  readonly platform: Pick<Platform, 'clock' | 'random'>
  /** The next number of a run or a logged model. */
  readonly nextNumber: () => number
  readonly searchLimits: SearchLimits
}

/** The database or a transaction of it. */
export type Db = Kysely<TrackingTables>
export type Tx = Transaction<TrackingTables>

const MAX_TRIES = 20

/** Tries again when somebody else took the number or wrote the same row: another node of the same store. */
export async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof HeadraceError) || error.code !== 'STORE_CONFLICT' || tries === MAX_TRIES) throw error
    }
  }
}
