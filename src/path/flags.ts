// The flags of an answer, as one shared list for each combination: most requests have none, and none of them makes a list.
export const PINNED = 1
export const CACHED = 2
export const STALE = 4
export const FALLBACK = 8
/** Some feature is its default: the store had no value, or did not answer. */
export const FEATURES_DEFAULT = 16
/** Some feature is what was known of it last, because the store did not answer. */
export const FEATURES_STALE = 32

/** A release's candidate would have had it, but this process may not call it now. */
export const LEASE_EXPIRED = 64

const NAMES = ['pinned', 'cached', 'stale', 'fallback', 'features-default', 'features-stale', 'lease-expired'] as const

const LISTS: readonly (readonly string[])[] = Array.from({ length: 2 ** NAMES.length }, (_, bits) =>
  NAMES.filter((_, bit) => bits & (1 << bit)),
)

export function flagList(bits: number): readonly string[] {
  return LISTS[bits]!
}
