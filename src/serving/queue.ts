// All that waits at a version: members in their order (`waiting.ts`), pieces of failed batches that run again, and the rows of large
// requests of which only one part at a time is a member.
import type { Gauge } from '../core/index.js'
import type { Joining } from './joining.js'
import type { Member } from './member.js'
import { ALL_WEIGHTS, type Group, PRIORITIES, Waiting, WEIGHTS } from './waiting.js'

export class Queue {
  readonly waiting: Waiting
  /** They have waited already, so they go before everyone else. */
  readonly #reruns: (readonly Member[])[] = []
  #rows = 0

  constructor(
    maxWaitMs: number,
    readonly maxRows: number,
    private readonly joining: Joining,
    private readonly waitingRows: Gauge,
  ) {
    this.waiting = new Waiting(maxWaitMs)
  }

  get isEmpty(): boolean {
    return this.waiting.isEmpty && this.#reruns.length === 0
  }

  /** Calls that wait for a run. */
  get length(): number {
    let length = this.waiting.length
    for (const members of this.#reruns) length += members.length
    return length
  }

  /** Rows that wait for their first run, with those of large requests that are in no part yet. */
  get rows(): number {
    return this.#rows
  }

  /** Rows above the limit if this many come. A request above it on its own gets in when nothing waits: told to come back, it never would. */
  rowsTooMany(rows: number): number {
    return this.#rows === 0 ? 0 : this.#rows + rows - this.maxRows
  }

  addRows(rows: number): void {
    this.#rows += rows
    this.waitingRows.set(this.#rows)
  }

  /** Its rows are counted by whoever knows of the whole request. */
  push(member: Member, nowMs: number): void {
    const { tensors, rows } = member
    this.waiting.push(this.joining.keyOf(tensors), this.joining.bucketOf(tensors, rows), member, nowMs)
  }

  /** Takes out who is going to run and who has an answer, of the group last ordered; the next part of a large request takes a place at the end. */
  leave(group: Group, members: readonly Member[], nowMs: number): void {
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      member.isTaken = true
      this.waiting.serve(member.priority, member.rows)
    }
    this.addRows(-this.waiting.removeTaken(group))
    for (let i = 0; i < members.length; i++) {
      const next = members[i]!.whole?.nextPart()
      if (next !== undefined) this.push(next, nowMs)
    }
  }

  /** Takes out every member for which `leaves` says so. */
  removeWhere(leaves: (member: Member) => boolean): void {
    this.waiting.removeWhere((member) => {
      if (!leaves(member)) return false
      this.addRows(-member.rows)
      return true
    })
  }

  /**
   * Makes room by taking out members of lower priority, the lowest and the latest due first, but never more than what exceeds their
   * own share of the queue. Nobody is taken out when that is not enough.
   */
  displace(overRows: number, lane: number, displaced: (member: Member) => void): boolean {
    const spare = (i: number) => this.waiting.rowsOf(i) - (this.maxRows * WEIGHTS[i]!) / ALL_WEIGHTS
    let room = 0
    for (let i = lane + 1; i < PRIORITIES; i++) room += Math.max(0, spare(i))
    if (room < overRows) return false
    const enoughRows = this.#rows - overRows
    for (let i = PRIORITIES - 1; i > lane; i--)
      while (this.#rows > enoughRows && spare(i) > 0) {
        const member = this.waiting.takeLast(i)!
        this.addRows(-member.rows)
        displaced(member)
      }
    return true
  }

  runAgain(members: readonly Member[]): void {
    this.#reruns.push(members)
  }

  nextRerun(): readonly Member[] | undefined {
    return this.#reruns.pop()
  }

  eachRerun(look: (member: Member) => void): void {
    for (const members of this.#reruns) for (const member of members) look(member)
  }
}
