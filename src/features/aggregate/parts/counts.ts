// How often each value occurred: distinct values and the most frequent ones, exactly. Takes memory by distinct value.
import type { Scalar } from '../../value.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { type CountedEvent, type Part, type Reducer, scalarAt } from './part.js'

export class CountsPart implements Part {
  readonly counts = new Map<Scalar, number>()

  constructor(readonly column: number) {}

  add(event: CountedEvent): void {
    const value = scalarAt(event, this.column)
    if (value !== undefined) this.counts.set(value, (this.counts.get(value) ?? 0) + 1)
  }

  merge(other: CountsPart): void {
    for (const [value, times] of other.counts) this.counts.set(value, (this.counts.get(value) ?? 0) + times)
  }

  get sizeBytes(): number {
    return 200 + 64 * this.counts.size
  }

  write(to: ByteWriter): void {
    to.count(this.counts.size)
    for (const [value, times] of this.counts) {
      to.value(value)
      to.count(times)
    }
  }
}

export function countsReducer(column: number): Reducer<CountsPart> {
  return {
    create: () => new CountsPart(column),
    read(from: ByteReader) {
      const part = new CountsPart(column)
      const size = from.size(2)
      for (let i = 0; i < size; i++) part.counts.set(from.scalar(), from.count())
      return part
    },
  }
}
