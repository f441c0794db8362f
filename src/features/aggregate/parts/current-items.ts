// The latest quantity of each item. Items that were taken out are kept too, for they outweigh what came before.
import { compareValues } from '../../../stats/index.js'
import type { Scalar } from '../../value.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { type CountedEvent, compareIds, numberAt, type Part, type Reducer, scalarAt } from './part.js'

interface Latest {
  readonly eventMs: number
  readonly id: string | undefined
  readonly quantity: number
}

export class CurrentItemsPart implements Part {
  private readonly items = new Map<Scalar, Latest>()

  constructor(
    readonly column: number,
    readonly quantity: number,
  ) {}

  add(event: CountedEvent): void {
    const item = scalarAt(event, this.column)
    const quantity = numberAt(event, this.quantity)
    if (item === undefined || Number.isNaN(quantity)) return
    this.put(item, { eventMs: event.eventMs, id: event.id, quantity })
  }

  merge(other: CurrentItemsPart): void {
    for (const [item, latest] of other.items) this.put(item, latest)
  }

  get sizeBytes(): number {
    return 200 + 120 * this.items.size
  }

  write(to: ByteWriter): void {
    to.count(this.items.size)
    for (const [item, { eventMs, id, quantity }] of this.items) {
      to.value(item)
      to.number(eventMs)
      to.value(id ?? null)
      to.number(quantity)
    }
  }

  static read(part: CurrentItemsPart, from: ByteReader): CurrentItemsPart {
    const size = from.size(4)
    for (let i = 0; i < size; i++) {
      const item = from.scalar()
      const eventMs = from.number()
      const id = from.value()
      part.put(item, { eventMs, id: typeof id === 'string' ? id : undefined, quantity: from.number() })
    }
    return part
  }

  /** Those of a quantity above 0, the latest changed first. */
  present(k: number): Scalar[] {
    const present = [...this.items].filter(([, { quantity }]) => quantity > 0)
    present.sort(([a, ofA], [b, ofB]) => ofB.eventMs - ofA.eventMs || compareIds(ofB.id, ofA.id) || compareValues(b, a))
    return present.slice(0, k).map(([item]) => item)
  }

  private put(item: Scalar, latest: Latest): void {
    const other = this.items.get(item)
    if (other === undefined || compareLatest(latest, other) > 0) this.items.set(item, latest)
  }
}

/** A tie of time and id is the larger quantity's. */
function compareLatest(a: Latest, b: Latest): number {
  return a.eventMs - b.eventMs || compareIds(a.id, b.id) || a.quantity - b.quantity
}

export function currentItemsReducer(column: number, quantity: number): Reducer<CurrentItemsPart> {
  return {
    create: () => new CurrentItemsPart(column, quantity),
    read: (from) => CurrentItemsPart.read(new CurrentItemsPart(column, quantity), from),
  }
}
