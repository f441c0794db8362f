// What a log says of a statement that failed. Its values are parameters, which stand apart; a write of many rows is long all the same.

const MAX_LENGTH = 400

/** The cause of a store's error: `reason`, and the beginning of the statement. */
export function statementFailure(reason: string, sql: string | undefined): Error {
  if (sql === undefined) return new Error(reason)
  const shown = sql.length > MAX_LENGTH ? `${sql.slice(0, MAX_LENGTH)}… (${sql.length} characters)` : sql
  return new Error(`${reason}, in: ${shown}`)
}
