import { DDSketch, HyperLogLog } from '../../../stats/index.js'
import { type ByteReader, BytesProblem, type ByteWriter } from '../bytes.js'
import { type CountedEvent, numberAt, type Part, type Reducer, scalarAt } from './part.js'

export class DistinctSketchPart implements Part {
  constructor(
    readonly column: number,
    readonly sketch: HyperLogLog,
  ) {}

  add(event: CountedEvent): void {
    const value = scalarAt(event, this.column)
    if (value !== undefined) this.sketch.add(value)
  }

  merge(other: DistinctSketchPart): void {
    this.sketch.merge(other.sketch)
  }

  get sizeBytes(): number {
    return 24 + this.sketch.sizeBytes
  }

  write(to: ByteWriter): void {
    to.bytes(this.sketch.encode())
  }
}

export function distinctSketchReducer(column: number, precision: number): Reducer<DistinctSketchPart> {
  return {
    create: () => new DistinctSketchPart(column, new HyperLogLog(precision)),
    read(from: ByteReader) {
      const sketch = HyperLogLog.decode(from.bytes(), precision)
      if (sketch === undefined) throw new BytesProblem('a HyperLogLog is damaged')
      return new DistinctSketchPart(column, sketch)
    },
  }
}

export class QuantilesPart implements Part {
  constructor(
    readonly column: number,
    readonly sketch: DDSketch,
  ) {}

  add(event: CountedEvent): void {
    const value = numberAt(event, this.column)
    if (!Number.isNaN(value)) this.sketch.add(value)
  }

  merge(other: QuantilesPart): void {
    this.sketch.merge(other.sketch)
  }

  get sizeBytes(): number {
    return 24 + this.sketch.sizeBytes
  }

  write(to: ByteWriter): void {
    to.numbers(this.sketch.counts())
  }
}

export function quantilesReducer(column: number, accuracy: number): Reducer<QuantilesPart> {
  return {
    create: () => new QuantilesPart(column, new DDSketch(accuracy)),
    read(from: ByteReader) {
      const sketch = DDSketch.fromCounts(accuracy, from.numbers())
      if (sketch === undefined) throw new BytesProblem('a quantile sketch is damaged')
      return new QuantilesPart(column, sketch)
    },
  }
}
