import { type ByteReader, BytesProblem, type ByteWriter } from '../bytes.js'
import { type CountedEvent, numberAt, type Part, type Reducer } from './part.js'

/** Counts below the first edge, from each edge to the next, and from the last one on. */
export class HistogramPart implements Part {
  constructor(
    readonly column: number,
    readonly edges: readonly number[],
    readonly counts: number[],
  ) {}

  add(event: CountedEvent): void {
    const value = numberAt(event, this.column)
    if (Number.isNaN(value)) return
    let bin = 0
    while (bin < this.edges.length && value >= this.edges[bin]!) bin++
    this.counts[bin]!++
  }

  merge(other: HistogramPart): void {
    for (let bin = 0; bin < this.counts.length; bin++) this.counts[bin]! += other.counts[bin]!
  }

  get sizeBytes(): number {
    return 56 + 8 * this.counts.length
  }

  write(to: ByteWriter): void {
    to.numbers(this.counts)
  }
}

export function histogramReducer(column: number, edges: readonly number[]): Reducer<HistogramPart> {
  return {
    create: () => new HistogramPart(column, edges, new Array<number>(edges.length + 1).fill(0)),
    read(from: ByteReader) {
      const counts = from.numbers()
      if (counts.length !== edges.length + 1) throw new BytesProblem('a histogram has other edges')
      return new HistogramPart(column, edges, counts)
    },
  }
}
