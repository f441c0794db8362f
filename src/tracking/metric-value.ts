// Numbers as both databases keep them exactly: NaN and the infinities are stored as a finite stand-in and a mark.

/** `value` orders and compares as the number does; for NaN it is 0. */
export interface StoredValue {
  readonly value: number
  readonly is_nan: number
  readonly is_infinite: number
}

export function toStoredValue(value: number): StoredValue {
  if (Number.isFinite(value)) return { value, is_nan: 0, is_infinite: 0 }
  if (Number.isNaN(value)) return { value: 0, is_nan: 1, is_infinite: 0 }
  return { value: value > 0 ? Number.MAX_VALUE : -Number.MAX_VALUE, is_nan: 0, is_infinite: 1 }
}

export function fromStoredValue({ value, is_nan, is_infinite }: StoredValue): number {
  if (is_nan === 1) return Number.NaN
  return is_infinite === 1 ? Math.sign(value) * Number.POSITIVE_INFINITY : Number(value)
}
