// Whether something that is at hand matches a filter: for what is few and already in memory, such as registered models.
import type { Comparison, Order } from './parse.js'

export interface Searched {
  readonly attributes: Readonly<Record<string, string | number | null>>
  readonly tags: Readonly<Record<string, string>>
}

export function matches(comparisons: readonly Comparison[], searched: Searched): boolean {
  return comparisons.every((comparison) => matchesOne(comparison, searched))
}

function matchesOne({ entity, key, operator, value }: Comparison, { attributes, tags }: Searched): boolean {
  const found = (entity === 'tag' ? (Object.hasOwn(tags, key) ? tags[key] : undefined) : attributes[key]) ?? null
  if (operator === 'IS NULL') return found === null
  if (operator === 'IS NOT NULL') return found !== null
  if (found === null) return false
  switch (operator) {
    case '=':
      return String(found) === String(value)
    case '!=':
      return String(found) !== String(value)
    case '>':
      return Number(found) > Number(value)
    case '>=':
      return Number(found) >= Number(value)
    case '<':
      return Number(found) < Number(value)
    case '<=':
      return Number(found) <= Number(value)
    case 'IN':
      return (value as readonly string[]).includes(String(found))
    case 'NOT IN':
      return !(value as readonly string[]).includes(String(found))
    case 'LIKE':
    case 'ILIKE':
      return isLike(String(found), String(value), operator === 'ILIKE')
    default:
      return operator satisfies never
  }
}

/** `%` is any text, `_` one character; without backtracking beyond the last `%`. */
export function isLike(text: string, pattern: string, ignoresCase: boolean): boolean {
  const from = Array.from(ignoresCase ? text.toLowerCase() : text)
  const like = Array.from(ignoresCase ? pattern.toLowerCase() : pattern)
  let at = 0
  let p = 0
  let resumeAt = -1
  let resumeP = 0
  while (at < from.length) {
    if (like[p] === '%') {
      resumeP = ++p
      resumeAt = at
    } else if (p < like.length && (like[p] === '_' || like[p] === from[at])) {
      p++
      at++
    } else if (resumeAt >= 0) {
      p = resumeP
      at = ++resumeAt
    } else return false
  }
  while (like[p] === '%') p++
  return p === like.length
}

/** Sorts by each order in turn; what is missing comes last. */
export function sortBy<T>(items: readonly T[], orders: readonly Order[], searched: (item: T) => Searched): T[] {
  const keyed = items.map((item) => ({ item, by: searched(item) }))
  const sortedBy = ({ attributes, tags }: Searched, { entity, key }: Order) =>
    (entity === 'tag' ? tags[key] : attributes[key]) ?? null
  keyed.sort((a, b) => {
    for (const order of orders) {
      const x = sortedBy(a.by, order)
      const y = sortedBy(b.by, order)
      if (x === y) continue
      if (x === null) return 1
      if (y === null) return -1
      return x < y === order.isAscending ? -1 : 1
    }
    return 0
  })
  return keyed.map(({ item }) => item)
}
