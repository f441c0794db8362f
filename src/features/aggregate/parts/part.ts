// What is kept of many events for one aggregation. Adding and merging commute: whatever the order and however the events were cut into
// parts, the merged part gives the same bits.
import type { Scalar, Value } from '../../value.js'
import type { ByteReader, ByteWriter } from '../bytes.js'

/** What is kept of an event that counts. */
export interface CountedEvent {
  readonly eventMs: number
  readonly id: string | undefined
  /** Of the columns that are aggregated. */
  readonly values: readonly Value[]
  /** By filter of the view, whether it takes the event; undefined where the view has none. */
  readonly passed: readonly boolean[] | undefined
}

export interface Part {
  add(event: CountedEvent): void
  /** Takes in a part of the same reducer, which stays as it is. */
  merge(other: this): void
  /** In memory, about. */
  readonly sizeBytes: number
  write(to: ByteWriter): void
}

/** Makes the parts of one aggregation; features that differ in their windows, or in what they read of the parts, share one. */
export interface Reducer<P extends Part = Part> {
  create(): P
  /** Throws BytesProblem. */
  read(from: ByteReader): P
}

/** NaN where the event has no number there. Bigints are taken as the nearest double, true as 1. */
export function numberAt(event: CountedEvent, column: number): number {
  const value = event.values[column]
  if (typeof value === 'number') return value + 0
  return typeof value === 'bigint' || typeof value === 'boolean' ? Number(value) : Number.NaN
}

/** NaN and lists are no values; -0 is 0; a bigint that a number holds exactly is that number. */
export function scalarAt(event: CountedEvent, column: number): Scalar | undefined {
  const value = event.values[column]
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : value + 0
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  return typeof value === 'string' || typeof value === 'boolean' ? value : undefined
}

/** No id comes first. */
export function compareIds(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0
  return a === undefined ? -1 : b === undefined ? 1 : a < b ? -1 : 1
}

/** NaN is no value. */
export const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value)
