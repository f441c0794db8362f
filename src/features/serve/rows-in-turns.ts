// Readings of very many rows, a few hundred at a time: nothing holds the event loop for more than a few milliseconds.
import type { FeatureRequest, ServedFeatures, ValueGap, ValueSource } from './types.js'

/** 50 features of so many rows take about a millisecond from memory; 500 candidates of a ranking are still one round trip. */
export const ROWS_AT_ONCE = 1000
const ROWS_A_TURN = 250

/** Parts of a request, in order. Entities that are in several parts are looked up in each. */
export function* partsOf(request: FeatureRequest): Generator<FeatureRequest> {
  const cut = <T>(columns: ReadonlyMap<string, readonly T[]>, from: number) =>
    new Map([...columns].map(([name, column]) => [name, column.slice(from, from + ROWS_A_TURN)]))
  for (let firstRow = 0; firstRow < request.rows; firstRow += ROWS_A_TURN) {
    const rows = Math.min(ROWS_A_TURN, request.rows - firstRow)
    yield { ...request, firstRow, rows, keys: cut(request.keys, firstRow), given: cut(request.given, firstRow) }
  }
}

/** What was read for all parts of a request. */
export function joinParts(parts: readonly ServedFeatures[], request: FeatureRequest): ServedFeatures {
  const [first] = parts as [ServedFeatures]
  const joined = new Map<readonly unknown[], unknown[]>()
  // Columns of one view share their lists, and go on sharing them.
  const join = <T>(listOf: (part: ServedFeatures) => readonly T[]): readonly T[] => {
    const known = joined.get(listOf(first))
    if (known !== undefined) return known as T[]
    // Copied as memory: half a million values one by one would take a turn of their own.
    const all = ([] as T[]).concat(...parts.map(listOf))
    joined.set(listOf(first), all)
    return all
  }
  const hasDefaults = parts.some((part) => part.hasDefaults)
  const hasLastKnown = parts.some((part) => part.hasLastKnown)
  return {
    plan: first.plan,
    rows: request.rows,
    atMs: first.atMs,
    values: first.values.map((_, column) => join((part) => part.values[column]!)),
    sources: first.sources.map((_, column) => join<ValueSource>((part) => part.sources[column]!)),
    gaps: first.gaps.map((_, column) => join<ValueGap>((part) => part.gaps[column]!)),
    agesMs: first.agesMs.map((_, column) => join((part) => part.agesMs[column]!)),
    hasDefaults,
    hasLastKnown,
    isDegraded: hasDefaults || hasLastKnown,
    lacking: first.lacking,
    keys: request.keys,
    request: new Map([...first.request.keys()].map((name) => [name, join((part) => part.request.get(name)!)])),
  }
}
