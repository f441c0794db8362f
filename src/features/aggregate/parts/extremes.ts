import type { ByteReader, ByteWriter } from '../bytes.js'
import { type CountedEvent, numberAt, type Part, type Reducer } from './part.js'

/** The least and the largest number; null of none. */
export class ExtremesPart implements Part {
  constructor(
    readonly column: number,
    public min: number | null,
    public max: number | null,
  ) {}

  add(event: CountedEvent): void {
    const value = numberAt(event, this.column)
    if (!Number.isNaN(value)) this.take(value, value)
  }

  merge(other: ExtremesPart): void {
    if (other.min !== null && other.max !== null) this.take(other.min, other.max)
  }

  get sizeBytes(): number {
    return 56
  }

  write(to: ByteWriter): void {
    to.value(this.min)
    to.value(this.max)
  }

  private take(min: number, max: number): void {
    if (this.min === null || min < this.min) this.min = min
    if (this.max === null || max > this.max) this.max = max
  }
}

export function extremesReducer(column: number): Reducer<ExtremesPart> {
  const read = (from: ByteReader) => {
    const value = from.value()
    return typeof value === 'number' ? value : null
  }
  return {
    create: () => new ExtremesPart(column, null, null),
    read: (from) => new ExtremesPart(column, read(from), read(from)),
  }
}
