// Sum, mean and variance: exact, rounded once when they are read.
import { ExactSquares, ExactSum, variance } from '../../../stats/index.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { type CountedEvent, numberAt, orNull, type Part, type Reducer } from './part.js'

export class NumbersPart implements Part {
  n = 0
  sum = new ExactSum()

  constructor(
    readonly column: number,
    public squares: ExactSquares | undefined,
  ) {}

  add(event: CountedEvent): void {
    const value = numberAt(event, this.column)
    if (Number.isNaN(value)) return
    this.n++
    this.sum.add(value)
    this.squares?.add(value)
  }

  merge(other: NumbersPart): void {
    this.n += other.n
    this.sum.merge(other.sum)
    if (other.squares !== undefined) this.squares?.merge(other.squares)
  }

  get sizeBytes(): number {
    return this.squares === undefined ? 112 : 216
  }

  write(to: ByteWriter): void {
    to.count(this.n)
    to.numbers(this.sum.parts())
    if (this.squares !== undefined) for (const parts of this.squares.parts()) to.numbers(parts)
  }

  readSum(): number | null {
    return this.n === 0 ? null : orNull(this.sum.value)
  }

  /** The rounded sum by the number: as Python's statistics.fmean. */
  readMean(): number | null {
    return this.n === 0 ? null : orNull(this.sum.value / this.n)
  }

  readVariance(): number | null {
    if (this.n === 0 || this.squares === undefined || !this.sum.isFinite) return null
    return variance(this.n, this.sum, this.squares)
  }
}

export function numbersReducer(column: number, withSquares: boolean): Reducer<NumbersPart> {
  return {
    create: () => new NumbersPart(column, withSquares ? new ExactSquares() : undefined),
    read(from: ByteReader) {
      const part = new NumbersPart(column, undefined)
      part.n = from.count()
      part.sum = ExactSum.fromParts(from.numbers())
      if (withSquares) part.squares = ExactSquares.fromParts(from.numbers(), from.numbers(), from.numbers())
      return part
    },
  }
}
