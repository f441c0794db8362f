// Members of one shape and priority, the soonest due first. A sorted array with a moving front: with equal time limits each new
// member belongs at the end, and a walk in order of deadlines, which every decision needs, is a loop.
import type { Member } from './member.js'

/** Sizes of members that are told apart, by powers of two; the last holds all that are larger. */
const SIZES = 12

export class Lane {
  /** Longer than what it holds: an array that is emptied by its length gives its memory back, and asks for it again at the next member. */
  readonly #members: (Member | undefined)[] = []
  #front = 0
  #end = 0
  /** Rows of members of 1, 2 to 3, 4 to 7, … rows. */
  readonly #rowsBySize: number[] = new Array(SIZES).fill(0)
  rows = 0

  get length(): number {
    return this.#end - this.#front
  }

  get head(): Member | undefined {
    return this.#end === this.#front ? undefined : this.#members[this.#front]
  }

  get last(): Member | undefined {
    return this.#end === this.#front ? undefined : this.#members[this.#end - 1]
  }

  at(index: number): Member {
    return this.#members[this.#front + index]!
  }

  push(member: Member): void {
    const members = this.#members
    this.#count(member.rows, 1)
    let at = this.#end++
    members[at] = member
    if (at === this.#front || members[at - 1]!.dueMs <= member.dueMs) return
    // Behind everyone who is due no later.
    let low = this.#front
    let high = at
    while (low < high) {
      const middle = (low + high) >> 1
      if (members[middle]!.dueMs <= member.dueMs) low = middle + 1
      else high = middle
    }
    for (; at > low; at--) members[at] = members[at - 1]!
    members[low] = member
  }

  /** Rows of members who are due no later than this and have less than about four times as many rows. */
  rowsBefore(dueMs: number, rows: number): number {
    const last = this.last
    if (last === undefined) return 0
    const largest = sizeOf(rows) + 1
    let before = 0
    if (last.dueMs <= dueMs) {
      for (let size = 0; size < SIZES && size <= largest; size++) before += this.#rowsBySize[size]!
      return before
    }
    for (let i = this.#front; i < this.#end && this.#members[i]!.dueMs <= dueMs; i++)
      if (sizeOf(this.#members[i]!.rows) <= largest) before += this.#members[i]!.rows
    return before
  }

  #count(rows: number, sign: number): void {
    this.rows += sign * rows
    this.#rowsBySize[sizeOf(rows)]! += sign * rows
  }

  pop(): Member {
    const member = this.#members[this.#end - 1]!
    this.#truncate(this.#end - 1)
    this.#count(member.rows, -1)
    return member
  }

  /** Takes out every member for which `leaves` says so. */
  removeWhere(leaves: (member: Member) => boolean): void {
    const members = this.#members
    let kept = this.#front
    for (let i = this.#front; i < this.#end; i++) {
      const member = members[i]!
      if (leaves(member)) this.#count(member.rows, -1)
      else members[kept++] = member
    }
    this.#truncate(kept)
  }

  /** Takes out those among the first `within` who were marked as taken or have an answer. Returns their rows. */
  removeTaken(within: number): number {
    const members = this.#members
    let to = this.#front + within
    let rows = 0
    for (let i = to - 1; i >= this.#front; i--) {
      const member = members[i]!
      if (member.isTaken || member.isAnswered) {
        rows += member.rows
        this.#count(member.rows, -1)
      } else members[--to] = member
    }
    // Places in front of the queue keep nobody alive.
    for (let i = this.#front; i < to; i++) members[i] = undefined
    this.#front = to
    if (to === this.#end) this.#front = this.#end = 0
    else if (to >= 32 && to * 2 >= this.#end) {
      members.copyWithin(0, to, this.#end)
      this.#front = 0
      this.#truncate(this.#end - to)
    }
    return rows
  }

  #truncate(end: number): void {
    for (let i = end; i < this.#end; i++) this.#members[i] = undefined
    this.#end = end
    if (this.#front === end) this.#front = this.#end = 0
  }
}

function sizeOf(rows: number): number {
  return Math.min(SIZES - 1, 31 - Math.clz32(rows))
}
