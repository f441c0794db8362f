// JSON with one spelling for each value, RFC 8785 (JCS): no spaces, members sorted by UTF-16 code units, numbers and
// strings as ECMAScript prints them. Hashes are made from these bytes, so this file is a stored format: it must not change.

export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json }

export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = value as { readonly [member: string]: Json }
  const parts = Object.keys(members)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonicalJson(members[name]!)}`)
  return `{${parts.join(',')}}`
}

const MAX_DEPTH = 32

/**
 * Any facts as JSON that can be kept, so that odd evidence never stops a decision: what JSON.stringify leaves out is left
 * out, what has `toJSON` uses it, NaN, infinities and bigints become text, typed arrays lists, half a surrogate pair
 * U+FFFD. Throws a plain Error with the path for a cycle.
 */
export function toJson(value: unknown, path = '', depth = 0): Json {
  if (depth > MAX_DEPTH) throw new Error(`${path.slice(0, 100)} is nested more than ${MAX_DEPTH} deep`)
  switch (typeof value) {
    case 'string':
      return wellFormed(value)
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'bigint':
      return String(value)
    case 'object':
      return value === null ? null : objectToJson(value, path, depth)
    default:
      return null
  }
}

function objectToJson(value: object, path: string, depth: number): Json {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return Array.from(value as ArrayLike<unknown>, (item, i) => toJson(item, `${path}[${i}]`, depth + 1))
  }
  if ('toJSON' in value && typeof value.toJSON === 'function') return toJson(value.toJSON(), path, depth + 1)
  // Without a prototype, so that a member named __proto__ is a member like others.
  const members: { [member: string]: Json } = Object.create(null)
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined || typeof member === 'function' || typeof member === 'symbol') continue
    members[wellFormed(name)] = toJson(member, path ? `${path}.${name}` : name, depth + 1)
  }
  return members
}

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}
