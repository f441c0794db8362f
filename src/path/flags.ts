// The flags of an answer, as one shared list for each combination: most requests have none, and none of them makes a list.
export const PINNED = 1
export const CACHED = 2
export const STALE = 4
export const FALLBACK = 8

const NAMES = ['pinned', 'cached', 'stale', 'fallback'] as const

const LISTS: readonly (readonly string[])[] = Array.from({ length: 2 ** NAMES.length }, (_, bits) =>
  NAMES.filter((_, bit) => bits & (1 << bit)),
)

export function flagList(bits: number): readonly string[] {
  return LISTS[bits]!
}
