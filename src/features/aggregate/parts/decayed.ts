// Sums and counts that fade. So that any way of cutting the events gives the same bits, the value is defined by blocks of time:
//   block length B: the least hop · 16^j that is at least the half-life
//   an event's term: value · 2^((eventMs - end of its block) / half-life), rounded
//   the value at t:  the sum over blocks of (the block's terms summed exactly, then rounded) · 2^((end of the block - t) / half-life),
//                    each product rounded, summed exactly and rounded once
// with 2^x as exp2 of stats computes it. Within a block weights stay above 2^-17, so nothing is lost to underflow.
import { ExactSum, exp2 } from '../../../stats/index.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { type CountedEvent, numberAt, orNull, type Part, type Reducer } from './part.js'

const DECAY_RADIX = 16

export class DecayedPart implements Part {
  n = 0
  // The first block inline: a tile has no other.
  private endMs = Number.NaN
  private sum = new ExactSum()
  private more: Map<number, ExactSum> | undefined

  constructor(
    /** -1 counts events. */
    readonly column: number,
    readonly halfLifeMs: number,
    readonly blockMs: number,
  ) {}

  add(event: CountedEvent): void {
    const value = this.column < 0 ? 1 : numberAt(event, this.column)
    if (Number.isNaN(value)) return
    this.n++
    const endMs = (Math.floor(event.eventMs / this.blockMs) + 1) * this.blockMs
    this.blockAt(endMs).add(value * exp2((event.eventMs - endMs) / this.halfLifeMs))
  }

  merge(other: DecayedPart): void {
    if (other.n === 0) return
    this.n += other.n
    this.blockAt(other.endMs).merge(other.sum)
    if (other.more !== undefined) for (const [endMs, sum] of other.more) this.blockAt(endMs).merge(sum)
  }

  get sizeBytes(): number {
    return 136 + 150 * (this.more?.size ?? 0)
  }

  write(to: ByteWriter): void {
    to.count(this.n)
    if (this.n === 0) return
    to.count(1 + (this.more?.size ?? 0))
    for (const [endMs, sum] of [[this.endMs, this.sum] as const, ...(this.more ?? [])]) {
      to.number(endMs / this.blockMs)
      to.numbers(sum.parts())
    }
  }

  static read(part: DecayedPart, from: ByteReader): DecayedPart {
    part.n = from.count()
    if (part.n === 0) return part
    const blocks = from.size(2)
    for (let i = 0; i < blocks; i++) {
      const endMs = from.number() * part.blockMs
      part.blockAt(endMs).merge(ExactSum.fromParts(from.numbers()))
    }
    return part
  }

  /** null of no events. */
  readAt(atMs: number): number | null {
    if (this.n === 0) return null
    const scaled = (endMs: number, sum: ExactSum) => sum.value * exp2((endMs - atMs) / this.halfLifeMs)
    if (this.more === undefined) return orNull(scaled(this.endMs, this.sum) + 0)
    const total = new ExactSum()
    total.add(scaled(this.endMs, this.sum))
    for (const [endMs, sum] of this.more) total.add(scaled(endMs, sum))
    return orNull(total.value)
  }

  private blockAt(endMs: number): ExactSum {
    if (this.endMs === endMs) return this.sum
    if (Number.isNaN(this.endMs)) {
      this.endMs = endMs
      return this.sum
    }
    this.more ??= new Map()
    let sum = this.more.get(endMs)
    if (sum === undefined) {
      sum = new ExactSum()
      this.more.set(endMs, sum)
    }
    return sum
  }
}

export function decayedReducer(column: number, halfLifeMs: number, hopMs: number): Reducer<DecayedPart> {
  let blockMs = hopMs
  while (blockMs < halfLifeMs) blockMs *= DECAY_RADIX
  return {
    create: () => new DecayedPart(column, halfLifeMs, blockMs),
    read: (from) => DecayedPart.read(new DecayedPart(column, halfLifeMs, blockMs), from),
  }
}
