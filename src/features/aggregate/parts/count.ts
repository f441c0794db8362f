import type { ByteReader, ByteWriter } from '../bytes.js'
import type { Part, Reducer } from './part.js'

class CountPart implements Part {
  constructor(public n: number) {}

  add(): void {
    this.n++
  }

  merge(other: CountPart): void {
    this.n += other.n
  }

  get sizeBytes(): number {
    return 24
  }

  write(to: ByteWriter): void {
    to.count(this.n)
  }
}

export const countReducer: Reducer<CountPart> = {
  create: () => new CountPart(0),
  read: (from: ByteReader) => new CountPart(from.count()),
}
