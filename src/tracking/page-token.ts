// Where the next page begins, as opaque text. It says of which search it is, so that another's is refused instead of misread.
import { TrackingErrors } from './errors.js'

export function writePageToken(search: string, place: readonly (string | number | null)[]): string {
  return Buffer.from(JSON.stringify([search, ...place])).toString('base64url')
}

/** The place, of as many whole numbers as there were. Throws TRACKING_PAGE_TOKEN_INVALID. */
export function readPageToken(search: string, token: string, length: number): number[] {
  const place = readPlace(search, token)
  if (place.length !== length || !place.every(isCount)) throw TrackingErrors.PAGE_TOKEN_INVALID()
  return place
}

/** The place, of whatever it may be. Throws TRACKING_PAGE_TOKEN_INVALID. */
export function readPlace(search: string, token: string): unknown[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString())
  } catch (error) {
    throw TrackingErrors.PAGE_TOKEN_INVALID({}, error)
  }
  if (!Array.isArray(parsed)) throw TrackingErrors.PAGE_TOKEN_INVALID()
  const [of, ...place] = parsed as unknown[]
  if (of !== search) throw TrackingErrors.PAGE_TOKEN_INVALID()
  return place
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
