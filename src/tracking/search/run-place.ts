// Where the next page of runs begins: behind so many of those that have one value, so that what came before is not read again.
import { TrackingErrors } from '../errors.js'
import { isCount, readPlace, writePageToken } from '../page-token.js'
import type { Int64 } from '../types.js'
import type { First } from './walks.js'

export type Anchor = Int64 | string

export interface RunPlace {
  /** Whether it is a place among walks, or among few. */
  readonly isWalk: boolean
  readonly walk: number
  /** Runs to leave out, of those from `anchor` on. */
  readonly offset: number
  readonly asOf: number
  /** As text where it is no plain number. */
  readonly anchor: string | number | null
}

export function writeRunPlace({ isWalk, walk, offset, asOf, anchor }: RunPlace): string {
  return writePageToken('runs', [isWalk ? 1 : 0, walk, offset, asOf, anchor])
}

export function readRunPlace(token: string): RunPlace {
  const [isWalk, walk, offset, asOf, anchor = null, ...more] = readPlace('runs', token)
  const isAnchor = anchor === null || typeof anchor === 'number' || typeof anchor === 'string'
  if (!isCount(isWalk) || !isCount(walk) || !isCount(offset) || !isCount(asOf) || !isAnchor || more.length > 0)
    throw TrackingErrors.PAGE_TOKEN_INVALID()
  return { isWalk: isWalk === 1, walk, offset, asOf, anchor }
}

export function anchorText(anchor: Anchor): string | number {
  return typeof anchor === 'bigint' ? String(anchor) : anchor
}

/** A token may be anybody's text: it is bound as what its column holds, or refused. */
export function anchorFor({ type }: First, anchor: string | number): Anchor {
  if (type === 'text') {
    if (typeof anchor === 'string' && !/[\0\p{Surrogate}]/u.test(anchor)) return anchor
  } else if (typeof anchor === 'number') {
    if (type === 'number' ? Number.isFinite(anchor) : Number.isSafeInteger(anchor)) return anchor
  } else if (type === 'integer' && /^-?\d{1,19}$/.test(anchor)) {
    const value = BigInt(anchor)
    if (BigInt.asIntN(64, value) === value) return value
  }
  throw TrackingErrors.PAGE_TOKEN_INVALID()
}
