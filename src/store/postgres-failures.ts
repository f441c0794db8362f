// Postgres' failures as ours. Of what the server says only the message and names are kept: its detail quotes the values of rows.
import { HeadraceError } from '../core/index.js'
import { type Constraint, StoreErrors } from './errors.js'
import { statementFailure } from './statement-text.js'

const CONSTRAINTS: Readonly<Record<string, Constraint>> = {
  '23505': 'unique',
  '23503': 'foreign-key',
  '23502': 'not-null',
}

/** Lost a race or a wait: the same call may do better. */
const BUSY = new Set(['40001', '40P01', '55P03', '57014', '25P03', '57P05'])
/** The condition of the server, not of the statement; connections, authorisation, start and end, a standby that takes no writes. */
const CONDITIONS = [/^08/, /^28/, /^3D/, /^53/, /^57P/, /^58/, '25006']

/** Of values that a column cannot take: the only messages that quote them. */
const DATA = '22'

interface ServerFailure {
  readonly code?: unknown
  readonly message?: unknown
  readonly constraint?: unknown
  readonly table?: unknown
  readonly column?: unknown
}

/** Whether the server itself refused, so that it is there and has done nothing. */
export function isServerAnswer(error: unknown): boolean {
  return sqlState(error) !== undefined
}

/** Whether the connection that met it is of no use any more. */
export function endsConnection(error: unknown): boolean {
  const code = sqlState(error)
  return code === undefined || /^(08|57P|58|25006|25P03)/.test(code)
}

export function toPostgresError(label: string, error: unknown, waitedMs: number, sql?: string): HeadraceError {
  if (error instanceof HeadraceError) return error
  const failure = error as ServerFailure
  const code = sqlState(error)
  const reason = code?.startsWith(DATA) ? withoutValues(reasonOf(failure)) : reasonOf(failure)
  const cause = statementFailure(reason, sql)
  if (code === undefined) return unavailable(label, reason, cause)
  if (code.startsWith('23')) {
    const on = String(failure.constraint ?? [failure.table, failure.column].filter(Boolean).join('.'))
    return StoreErrors.CONFLICT({ constraint: CONSTRAINTS[code] ?? 'check', on }, cause)
  }
  if (BUSY.has(code)) return StoreErrors.BUSY({ file: label, waitedMs, holder: 'server' }, cause)
  if (code === '53100') return StoreErrors.FULL({ file: label }, cause)
  if (code === 'XX001' || code === 'XX002') return StoreErrors.CORRUPT({ file: label, reason }, cause)
  if (CONDITIONS.some((one) => (typeof one === 'string' ? one === code : one.test(code))))
    return unavailable(label, reason, cause)
  return StoreErrors.QUERY_FAILED({ reason }, cause)
}

export function unavailable(label: string, reason: string, cause?: unknown): HeadraceError {
  return StoreErrors.UNAVAILABLE(
    { file: label, reason, remedy: 'Check that the database server runs and that store.databaseUrl names it.' },
    cause,
  )
}

/** A refused connection to several addresses has no message of its own. */
export function reasonOf(error: unknown): string {
  const { message, code, errors } = error as { message?: unknown; code?: unknown; errors?: readonly unknown[] }
  if (typeof message === 'string' && message !== '') return message
  if (errors?.[0] !== undefined) return reasonOf(errors[0])
  return String(code ?? error)
}

function withoutValues(message: string): string {
  return message.replace(/".*"/s, '"…"')
}

function sqlState(error: unknown): string | undefined {
  const { code } = error as ServerFailure
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code) ? code : undefined
}
