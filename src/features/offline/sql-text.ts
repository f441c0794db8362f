// Names and texts in SQL. Every name that a person wrote goes through here, so that none can end a statement.

/** A quoted identifier: the same in DuckDB and Postgres. */
export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

export function literals(texts: readonly string[]): string {
  return `[${texts.map(literal).join(', ')}]`
}

/** A SELECT that a person wrote as a FROM item: a semicolon or a comment may end it. */
export function subquery(select: string): string {
  return `(${select.trim().replace(/;$/, '')}\n)`
}
