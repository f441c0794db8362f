// Which JavaScript values a statement may carry: those that SQLite and Postgres both keep exactly.
// The check is not politeness: libsql aborts the whole process when it is given a boolean, and cuts text at a NUL.
import { StoreErrors } from './errors.js'
import type { SqlValue } from './sqlite-messages.js'

const UNSTORABLE_TEXT = /[\0\p{Surrogate}]/u

export function toSqlValues(parameters: readonly unknown[]): SqlValue[] {
  const values: SqlValue[] = []
  for (let i = 0; i < parameters.length; i++) values.push(toSqlValue(parameters[i], i + 1))
  return values
}

function toSqlValue(value: unknown, parameter: number): SqlValue {
  const refuse = (reason: string) => StoreErrors.VALUE_INVALID({ parameter, reason })
  if (value === null) return null
  switch (typeof value) {
    case 'string':
      if (UNSTORABLE_TEXT.test(value)) throw refuse('text with a NUL or half of a surrogate pair')
      return value
    case 'number':
      if (!Number.isFinite(value)) throw refuse(`the number ${value}; store null instead`)
      // A zero has no sign: SQLite keeps none.
      return value + 0
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw refuse('an integer of more than 64 bits')
      return value
    case 'object':
      // A view is copied by itself: cloning it as it is would take its whole buffer along, such as Node's 8 KiB pool.
      if (value instanceof Uint8Array) return new Uint8Array(value)
      throw refuse(`${value.constructor?.name ?? 'an object'}; store JSON text, bytes, or milliseconds`)
    case 'boolean':
      throw refuse('a boolean; store 0 or 1')
    default:
      throw refuse(`a value of type ${typeof value}`)
  }
}
