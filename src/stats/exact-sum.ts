// Sums of doubles without rounding, after J. R. Shewchuk, "Adaptive precision floating-point arithmetic" (1997): a sum is held as a few
// doubles whose bits do not overlap. So adding and merging commute exactly, and the value is the true sum rounded once.
import { nearestRatio, toBinary } from './binary.js'

/** From here on terms are kept apart and scaled, so that no partial sum of fewer than 2^60 terms overflows. */
const LARGE = 2 ** 960
const LARGE_SCALE = 2 ** -128

interface Rare {
  readonly large: ExactSum
  positiveInfinities: number
  negativeInfinities: number
}

/**
 * A sum that does not depend on order. Nothing to weigh against plain addition where a last bit does not matter: it costs several times that.
 *
 * @example
 * const sum = new ExactSum()
 * for (const x of [1e16, 1, -1e16]) sum.add(x)
 * sum.value // 1
 */
export class ExactSum {
  // The two largest parts inline, as money and counts need no more; `low` is below `high`, and smaller parts are in `rest`, ascending.
  private high = 0
  private low = 0
  private rest: number[] | undefined
  private rare: Rare | undefined

  add(x: number): void {
    if (x < LARGE && x > -LARGE) this.addPart(x)
    else this.addRare(x, 1)
  }

  /** Undoes `add`, exactly. */
  subtract(x: number): void {
    if (x < LARGE && x > -LARGE) this.addPart(-x)
    else this.addRare(x, -1)
  }

  merge(other: ExactSum): void {
    const rest = other.rest
    if (rest !== undefined) for (let i = 0; i < rest.length; i++) this.addPart(rest[i]!)
    if (other.low !== 0) this.addPart(other.low)
    if (other.high !== 0) this.addPart(other.high)
    const from = other.rare
    if (from === undefined) return
    const rare = this.rareParts()
    rare.large.merge(from.large)
    rare.positiveInfinities += from.positiveInfinities
    rare.negativeInfinities += from.negativeInfinities
  }

  /** The double nearest to the true sum; infinite when a term is or when it is too large; NaN when infinities of both signs are in it. */
  get value(): number {
    const rare = this.rare
    if (rare !== undefined) return this.rareValue(rare)
    if (this.rest === undefined) return this.high + this.low + 0
    return roundParts([...this.rest, this.low, this.high])
  }

  get isFinite(): boolean {
    return this.rare === undefined || (this.rare.positiveInfinities === 0 && this.rare.negativeInfinities === 0)
  }

  /** The true sum as a whole number times a power of two; of a finite sum. */
  binary(): { readonly units: bigint; readonly exponent: number } {
    const parts = [...(this.rest ?? []), this.low, this.high]
    const normal = toBinary(parts)
    if (this.rare === undefined) return normal
    const large = this.rare.large.binary()
    const exponent = Math.min(normal.exponent, large.exponent + 128)
    return {
      units:
        (normal.units << BigInt(normal.exponent - exponent)) + (large.units << BigInt(large.exponent + 128 - exponent)),
      exponent,
    }
  }

  /** What `fromParts` makes the same sum of: a stored format. */
  parts(): number[] {
    const { positiveInfinities = 0, negativeInfinities = 0 } = this.rare ?? {}
    const parts = [...(this.rest ?? []), this.low, this.high].filter((part) => part !== 0)
    if (this.rare === undefined) return parts
    // NaN, which is never a part, sets the rare ones off.
    return [...parts, Number.NaN, positiveInfinities, negativeInfinities, ...this.rare.large.parts()]
  }

  static fromParts(parts: readonly number[]): ExactSum {
    const sum = new ExactSum()
    let at = 0
    while (at < parts.length && !Number.isNaN(parts[at])) sum.addPart(parts[at++]!)
    if (at === parts.length) return sum
    const rare = sum.rareParts()
    rare.positiveInfinities = parts[at + 1] ?? 0
    rare.negativeInfinities = parts[at + 2] ?? 0
    for (const part of parts.slice(at + 3)) rare.large.addPart(part)
    return sum
  }

  private addPart(x: number): void {
    if (this.rest !== undefined) {
      this.grow(x)
      return
    }
    // Two steps of Knuth's TwoSum: what each addition loses is carried on exactly.
    const low = this.low
    const a = x + low
    const aOf = a - x
    const lost = x - (a - aOf) + (low - aOf)
    const high = this.high
    const b = a + high
    const bOf = b - a
    const lostHigh = a - (b - bOf) + (high - bOf)
    this.high = b
    if (lost === 0) this.low = lostHigh
    else if (lostHigh === 0) this.low = lost
    else {
      this.low = lostHigh
      this.rest = [lost]
    }
  }

  private grow(x: number): void {
    const parts = [...this.rest!, this.low, this.high]
    const grown: number[] = []
    let sum = x
    for (const part of parts) {
      const next = sum + part
      const of = next - sum
      const lost = sum - (next - of) + (part - of)
      if (lost !== 0) grown.push(lost)
      sum = next
    }
    this.high = sum
    this.low = grown.pop() ?? 0
    this.rest = grown.length > 0 ? grown : undefined
  }

  private rareParts(): Rare {
    this.rare ??= { large: new ExactSum(), positiveInfinities: 0, negativeInfinities: 0 }
    return this.rare
  }

  private addRare(x: number, sign: 1 | -1): void {
    const rare = this.rareParts()
    if (x === Number.POSITIVE_INFINITY) rare.positiveInfinities += sign
    else if (x === Number.NEGATIVE_INFINITY) rare.negativeInfinities += sign
    else if (Number.isNaN(x)) {
      rare.positiveInfinities += sign
      rare.negativeInfinities += sign
    } else rare.large.addPart(sign * x * LARGE_SCALE)
  }

  private rareValue({ positiveInfinities, negativeInfinities }: Rare): number {
    if (positiveInfinities > 0 && negativeInfinities > 0) return Number.NaN
    if (positiveInfinities > 0) return Number.POSITIVE_INFINITY
    if (negativeInfinities > 0) return Number.NEGATIVE_INFINITY
    const { units, exponent } = this.binary()
    return exponent < 0 ? nearestRatio(units, 1n << BigInt(-exponent)) : nearestRatio(units << BigInt(exponent), 1n)
  }
}

/** Rounds ascending parts once, to even, as CPython's math.fsum does. */
function roundParts(parts: readonly number[]): number {
  let at = parts.length - 1
  let high = parts[at]!
  let low = 0
  while (at > 0 && low === 0) {
    const part = parts[--at]!
    const sum = high + part
    low = part - (sum - high)
    high = sum
  }
  // A tie that smaller parts break was rounded as a tie: half of the last place is on the other side.
  let next = at - 1
  while (next >= 0 && parts[next] === 0) next--
  if (next >= 0 && ((low < 0 && parts[next]! < 0) || (low > 0 && parts[next]! > 0))) {
    const twice = low * 2
    const rounded = high + twice
    if (twice === rounded - high) high = rounded
  }
  return high + 0
}

// Beyond these the square's own rounding error would be lost: such terms are scaled by a power of two, exactly.
const SQUARE_LARGE = 2 ** 400
const SQUARE_SMALL = 2 ** -400
const SQUARE_SHIFT = 600

/** The sum of the squares of finite numbers, exactly. */
export class ExactSquares {
  private readonly normal = new ExactSum()
  // Of terms times 2^-600 and 2^600.
  private large: ExactSum | undefined
  private small: ExactSum | undefined

  add(x: number): void {
    const size = Math.abs(x)
    if (size === 0 || size === Number.POSITIVE_INFINITY) return
    if (size > SQUARE_LARGE) {
      this.large ??= new ExactSum()
      addSquare(this.large, x * 2 ** -SQUARE_SHIFT)
    } else if (size < SQUARE_SMALL) {
      this.small ??= new ExactSum()
      addSquare(this.small, x * 2 ** SQUARE_SHIFT)
    } else addSquare(this.normal, x)
  }

  merge(other: ExactSquares): void {
    this.normal.merge(other.normal)
    if (other.large !== undefined) {
      this.large ??= new ExactSum()
      this.large.merge(other.large)
    }
    if (other.small !== undefined) {
      this.small ??= new ExactSum()
      this.small.merge(other.small)
    }
  }

  binary(): { readonly units: bigint; readonly exponent: number } {
    let { units, exponent } = this.normal.binary()
    for (const [sum, shift] of [
      [this.large, 2 * SQUARE_SHIFT],
      [this.small, -2 * SQUARE_SHIFT],
    ] as const) {
      if (sum === undefined) continue
      const other = sum.binary()
      const common = Math.min(exponent, other.exponent + shift)
      units = (units << BigInt(exponent - common)) + (other.units << BigInt(other.exponent + shift - common))
      exponent = common
    }
    return { units, exponent }
  }

  /** What `fromParts` makes the same sum of: a stored format. */
  parts(): [normal: number[], large: number[], small: number[]] {
    return [this.normal.parts(), this.large?.parts() ?? [], this.small?.parts() ?? []]
  }

  static fromParts(normal: readonly number[], large: readonly number[], small: readonly number[]): ExactSquares {
    const squares = new ExactSquares()
    squares.normal.merge(ExactSum.fromParts(normal))
    if (large.length > 0) squares.large = ExactSum.fromParts(large)
    if (small.length > 0) squares.small = ExactSum.fromParts(small)
    return squares
  }
}

/** Dekker's product: the square and what its rounding lost, both of which are doubles. */
function addSquare(sum: ExactSum, x: number): void {
  const square = x * x
  const wide = 134_217_729 * x
  const high = wide - (wide - x)
  const low = x - high
  sum.add(square)
  sum.add(low * low - (square - high * high - 2 * high * low))
}
