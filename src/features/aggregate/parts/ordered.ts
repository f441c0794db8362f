// The first or last k values. Events of one time are in the order of their ids, then of their values.
import { compareValues } from '../../../stats/index.js'
import type { Scalar } from '../../value.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { type CountedEvent, compareIds, type Part, type Reducer, scalarAt } from './part.js'

interface Item {
  readonly eventMs: number
  readonly id: string | undefined
  readonly value: Scalar
}

export class OrderedPart implements Part {
  /** The foremost first. */
  items: Item[] = []

  constructor(
    readonly column: number,
    readonly k: number,
    /** 1: the earliest are foremost; -1: the latest. */
    readonly direction: 1 | -1,
  ) {}

  add(event: CountedEvent): void {
    const value = scalarAt(event, this.column)
    if (value !== undefined) this.put({ eventMs: event.eventMs, id: event.id, value })
  }

  merge(other: OrderedPart): void {
    for (const item of other.items) if (!this.put(item)) return
  }

  get sizeBytes(): number {
    return 64 + 96 * this.items.length
  }

  write(to: ByteWriter): void {
    to.count(this.items.length)
    for (const { eventMs, id, value } of this.items) {
      to.number(eventMs)
      to.value(id ?? null)
      to.value(value)
    }
  }

  first(): Scalar | null {
    return this.items[0]?.value ?? null
  }

  values(): Scalar[] {
    return this.items.map(({ value }) => value)
  }

  /** False when it is behind k others. */
  private put(item: Item): boolean {
    const { items } = this
    let at = items.length
    while (at > 0 && this.compare(item, items[at - 1]!) < 0) at--
    if (at >= this.k) return false
    items.splice(at, 0, item)
    if (items.length > this.k) items.pop()
    return true
  }

  private compare(a: Item, b: Item): number {
    const order = a.eventMs - b.eventMs || compareIds(a.id, b.id) || compareValues(a.value, b.value)
    return order * this.direction
  }
}

export function orderedReducer(column: number, k: number, direction: 1 | -1): Reducer<OrderedPart> {
  return {
    create: () => new OrderedPart(column, k, direction),
    read(from: ByteReader) {
      const part = new OrderedPart(column, k, direction)
      const size = from.size(3)
      for (let i = 0; i < size; i++) {
        const eventMs = from.number()
        const id = from.value()
        part.items.push({ eventMs, id: typeof id === 'string' ? id : undefined, value: from.scalar() })
      }
      return part
    },
  }
}
