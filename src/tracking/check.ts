// What may be stored: limits as MLflow has them, and text that both databases keep.
import { TrackingErrors } from './errors.js'
import type { Int64, Pair } from './types.js'

export const LIMITS = {
  metrics: 1000,
  params: 100,
  tags: 100,
  /** Of metrics, params and tags together. */
  entities: 1000,
  keyLength: 250,
  paramLength: 6000,
  runTagLength: 8000,
  experimentTagLength: 20_000,
  experimentNameLength: 500,
  runNameLength: 8000,
  locationLength: 2048,
  datasets: 1000,
  datasetTextLength: 1024 * 1024,
} as const

const UNSTORABLE = /[\0\p{Surrogate}]/u

/** Text without NUL or half a surrogate pair. */
export function checkText(what: string, value: string, limit: number): string {
  if (value.length > limit) throw TrackingErrors.TOO_LONG({ what, length: value.length, limit })
  if (UNSTORABLE.test(value))
    throw TrackingErrors.VALUE_INVALID({ what, problem: 'has a NUL character or half of a surrogate pair in it' })
  return value
}

/** What nearly all keys are: a batch has a thousand. */
const PLAIN_KEY = /^[A-Za-z0-9_][A-Za-z0-9_ .:-]{0,249}$/

/** Keys are parts of paths in other stores of MLflow's, so they may not climb out of one. */
export function checkKey(what: string, key: string): string {
  if (PLAIN_KEY.test(key)) return key
  if (key === '') throw TrackingErrors.VALUE_INVALID({ what, problem: 'is empty' })
  checkText(what, key, LIMITS.keyLength)
  if (
    key.startsWith('/') ||
    key.endsWith('/') ||
    key.split('/').some((part) => part === '..' || part === '.' || part === '')
  )
    throw TrackingErrors.VALUE_INVALID({ what, problem: `"${key}" has an empty part, "." or ".." between its slashes` })
  if (!/^[\p{L}\p{N}\p{M}_/ .:-]*$/u.test(key))
    throw TrackingErrors.VALUE_INVALID({
      what,
      problem: `"${key}" may only have letters, digits, spaces and any of _ - . : /`,
    })
  return key
}

export function checkPairs(what: string, pairs: readonly Pair[], limit: number, valueLength: number): void {
  checkCount(`${what}s`, pairs.length, limit)
  for (const { key, value } of pairs) {
    checkKey(`The ${what}'s key`, key)
    checkText(`The value of ${what} "${key}"`, value, valueLength)
  }
}

export function checkCount(what: string, count: number, limit: number): void {
  if (count > limit) throw TrackingErrors.TOO_MANY({ what, count, limit })
}

export function checkInt64(what: string, value: Int64): Int64 {
  if (typeof value === 'number' ? !Number.isSafeInteger(value) : BigInt.asIntN(64, value) !== value)
    throw TrackingErrors.VALUE_INVALID({ what, problem: `${value} is no whole number of 64 bits` })
  return value
}
