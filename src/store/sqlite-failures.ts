// SQLite's error codes as ours. Its messages name tables and columns, never values, so they may be shown.
import type { HeadraceError } from '../core/index.js'
import { type Constraint, StoreErrors } from './errors.js'
import type { SqliteFailure } from './sqlite-messages.js'
import { statementFailure } from './statement-text.js'

const CONSTRAINTS: Readonly<Record<string, Constraint>> = {
  SQLITE_CONSTRAINT_UNIQUE: 'unique',
  SQLITE_CONSTRAINT_PRIMARYKEY: 'unique',
  SQLITE_CONSTRAINT_ROWID: 'unique',
  SQLITE_CONSTRAINT_FOREIGNKEY: 'foreign-key',
  SQLITE_CONSTRAINT_NOTNULL: 'not-null',
}

/** The database's condition, not the statement's: the file, its folder, its disk or its permissions. */
const CONDITIONS = ['IOERR', 'CANTOPEN', 'READONLY', 'PERM', 'NOLFS', 'PROTOCOL', 'NOMEM']

export function toStoreError(file: string, busyMs: number, failure: SqliteFailure, sql?: string): HeadraceError {
  const { code = '', message: reason } = failure
  const cause = statementFailure(reason, sql)
  if (code.startsWith('SQLITE_CONSTRAINT')) {
    const on = /constraint failed: (.+)$/.exec(reason)?.[1] ?? 'of the table'
    return StoreErrors.CONFLICT({ constraint: CONSTRAINTS[code] ?? 'check', on }, cause)
  }
  if (code.startsWith('SQLITE_BUSY')) return StoreErrors.BUSY({ file, waitedMs: busyMs, holder: 'process' }, cause)
  if (code === 'SQLITE_FULL') return StoreErrors.FULL({ file }, cause)
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return StoreErrors.CORRUPT({ file, reason }, cause)
  }
  // Without a statement it was opening, closing or rolling back that failed.
  if (sql === undefined || CONDITIONS.some((condition) => code.startsWith(`SQLITE_${condition}`))) {
    return StoreErrors.UNAVAILABLE({ file, reason }, cause)
  }
  return StoreErrors.QUERY_FAILED({ reason }, cause)
}
