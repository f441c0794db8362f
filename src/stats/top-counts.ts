// Values in the one order that ties are broken by, and the most frequent of them.

export type Countable = number | bigint | string | boolean

/** Numbers by size, texts by UTF-16 code units, false before true. */
export function compareValues(a: Countable, b: Countable): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The `k` most frequent, the most frequent first; equals in the order of the values. */
export function topCounts<T extends Countable>(counts: ReadonlyMap<T, number>, k: number): T[] {
  return [...counts]
    .sort(([a, timesA], [b, timesB]) => timesB - timesA || compareValues(a, b))
    .slice(0, k)
    .map(([value]) => value)
}
