// What has changed in a source's columns since a view was last filled, and what that means for the view.

export interface SourceColumn {
  readonly name: string
  /** As DuckDB calls it. */
  readonly type: string
}

export interface SchemaChanges {
  /** Sentences: the view cannot be filled in the meaning that it had. */
  readonly breaking: readonly string[]
  /** Sentences: worth knowing, changes nothing. */
  readonly harmless: readonly string[]
}

const SIGNED = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT']
const UNSIGNED = ['UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT', 'UHUGEINT']
const FLOATING = ['FLOAT', 'DOUBLE']
const POSTGRES: Readonly<Record<string, string>> = {
  real: 'FLOAT',
  'double precision': 'DOUBLE',
  text: 'VARCHAR',
  'character varying': 'VARCHAR',
  character: 'VARCHAR',
}

/**
 * Compares columns as they were with those that are. Only columns that the view reads can break it: one that is gone (and is not renamed:
 * `renames` has the new name by the old), or that holds another type than one that widens it. New columns are additions.
 */
export function schemaChanges(
  before: readonly SourceColumn[],
  now: readonly SourceColumn[],
  read: ReadonlySet<string>,
  renames: Readonly<Record<string, string>> = {},
): SchemaChanges {
  const types = new Map(now.map(({ name, type }) => [name, type]))
  const old = new Map(before.map(({ name, type }) => [name, type]))
  const breaking: string[] = []
  const harmless: string[] = []
  for (const { name, type } of before) {
    const renamed = Object.hasOwn(renames, name) ? renames[name]! : undefined
    const found = types.get(name) ?? (renamed === undefined ? undefined : types.get(renamed))
    const isRead = read.has(name) || (renamed !== undefined && read.has(renamed))
    if (found === undefined) {
      if (!isRead) harmless.push(`column "${name}" is gone, which the view does not read`)
      else breaking.push(`column "${name}" (${type}) is gone${likely(type, now, old)}`)
    } else {
      if (!types.has(name)) harmless.push(`column "${name}" is "${renamed}" now, as "renames" says`)
      if (found !== type) {
        const text = `column "${types.has(name) ? name : renamed}" was ${type} and is ${found}`
        if (isRead && !widens(type, found)) breaking.push(text)
        else harmless.push(text)
      }
    }
  }
  const expected = new Set(Object.values(renames))
  for (const { name, type } of now) {
    if (!old.has(name) && !expected.has(name)) harmless.push(`column "${name}" (${type}) is new`)
  }
  return { breaking, harmless }
}

/** Every value of the old type is one of the new. Types of DuckDB or of Postgres. */
export function widens(before: string, now: string): boolean {
  const from = POSTGRES[before] ?? before.toUpperCase()
  const to = POSTGRES[now] ?? now.toUpperCase()
  if (from === to) return true
  for (const family of [SIGNED, UNSIGNED, FLOATING]) {
    const a = family.indexOf(from)
    if (a >= 0 && family.indexOf(to) >= a) return true
  }
  const unsigned = UNSIGNED.indexOf(from)
  if (unsigned >= 0 && SIGNED.indexOf(to) > unsigned) return true
  // Postgres' numeric has no bounds.
  if (to === 'NUMERIC') return [...SIGNED, 'FLOAT', 'DOUBLE'].includes(from)
  // Doubles hold integers of 32 bits, floats those of 16.
  if (to === 'DOUBLE') return ['TINYINT', 'SMALLINT', 'INTEGER', 'UTINYINT', 'USMALLINT', 'UINTEGER'].includes(from)
  if (to === 'FLOAT') return ['TINYINT', 'SMALLINT', 'UTINYINT', 'USMALLINT'].includes(from)
  if (to === 'VARCHAR') return from.startsWith('ENUM') || from === 'UUID'
  return from.startsWith('TIMESTAMP') && to.startsWith('TIMESTAMP') && from.endsWith('ZONE') === to.endsWith('ZONE')
}

function likely(type: string, now: readonly SourceColumn[], old: ReadonlyMap<string, string>): string {
  const candidates = now.filter(
    (column) => !old.has(column.name) && (column.type === type || widens(type, column.type)),
  )
  if (candidates.length === 0) return ''
  return `; was it renamed to ${candidates.map(({ name }) => `"${name}"`).join(' or ')}?`
}
