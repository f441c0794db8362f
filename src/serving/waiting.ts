// Members that wait for a run: in groups whose members can share one, in each group a lane per priority, in each lane by deadline.
//
// Three rules decide who is next:
//  1. A member's place in its lane is its deadline, or `maxWaitMs` after it was queued when that is sooner. So nobody who comes later
//     than that can pass it, however tight the newcomer's deadline.
//  2. Between lanes, rows are shared by weight: high 16, normal 4, low 1. A lane that was empty saves nothing up.
//  3. Who has waited `maxWaitMs` has aged; every second run begins with the aged, whatever their priority or shape, the longest due first.
// By 1 and 3 a member that is queued for `maxWaitMs` has only those before it who were due by then, and no more can join them: it
// starts, or has its answer, at the latest after 2 · (those before it + 1) further runs.
import { Lane } from './lane.js'
import type { Member } from './member.js'
import type { ShapeKey } from './shape-key.js'
import type { Priority } from './types.js'

/** The share of each priority while all of them wait; also what of the queue is kept for it. */
export const WEIGHTS: readonly number[] = [16, 4, 1]
export const ALL_WEIGHTS = 21
export const PRIORITIES = 3

/** The lane of a priority: 0, 1 and 2 from high to low. */
export function laneOf(priority: Priority | undefined): number {
  return priority === undefined || priority === 'normal' ? 1 : priority === 'high' ? 0 : 2
}

/** Members of one shape. */
export class Group {
  readonly lanes: readonly Lane[] = [new Lane(), new Lane(), new Lane()]

  constructor(
    readonly key: ShapeKey,
    /** Of the cost model. */
    readonly bucket: number,
  ) {}

  /** The lane that all members are in; -1 when there are several. */
  get onlyLane(): number {
    let only = -1
    for (let i = 0; i < PRIORITIES; i++) {
      if (this.lanes[i]!.length === 0) continue
      if (only !== -1) return -1
      only = i
    }
    return only
  }

  get isEmpty(): boolean {
    return this.lanes[0]!.length === 0 && this.lanes[1]!.length === 0 && this.lanes[2]!.length === 0
  }
}

export class Waiting {
  readonly #groups = new Map<ShapeKey, Group>()
  /** The last group that became empty, which stays: the usual model has one shape, and need not make a group for each batch. */
  #spare: Group | undefined
  /** Rows that ran of each priority, divided by its weight. */
  readonly #served: number[] = [0, 0, 0]
  readonly #laneRows: number[] = [0, 0, 0]
  /** Kept as long as it ever was, like a lane's members. */
  readonly #order: (Member | undefined)[] = []
  #ordered = 0
  readonly #taken: number[] = [0, 0, 0]
  #isAgedTurn = false
  #arrivals = 0

  constructor(private readonly maxWaitMs: number) {}

  get isEmpty(): boolean {
    return this.#laneRows[0] === 0 && this.#laneRows[1] === 0 && this.#laneRows[2] === 0
  }

  get shapes(): number {
    return this.#groups.size - (this.#spare?.isEmpty === true ? 1 : 0)
  }

  /** See `Lane.rowsBefore`; over all shapes. */
  rowsBefore(priority: number, dueMs: number, rows: number): number {
    let before = 0
    for (const group of this.#groups.values()) before += group.lanes[priority]!.rowsBefore(dueMs, rows)
    return before
  }

  /** Members, over all shapes and priorities. */
  get length(): number {
    let length = 0
    for (const { lanes } of this.#groups.values()) for (const lane of lanes) length += lane.length
    return length
  }

  /** Rows of one priority, over all shapes. */
  rowsOf(priority: number): number {
    return this.#laneRows[priority]!
  }

  push(key: ShapeKey, bucket: number, member: Member, nowMs: number): void {
    member.dueMs = Math.min(member.deadline.atMs, nowMs + this.maxWaitMs)
    member.isTaken = false
    member.order = this.#arrivals++
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = new Group(key, bucket)
      this.#groups.set(key, group)
    }
    const { priority } = member
    if (this.#laneRows[priority] === 0) this.#join(priority)
    this.#laneRows[priority]! += member.rows
    group.lanes[priority]!.push(member)
  }

  /** A lane that was empty starts level with the one that is furthest behind: nothing is saved up while nobody waits. */
  #join(priority: number): void {
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < PRIORITIES; i++)
      if (i !== priority && this.#laneRows[i]! > 0 && this.#served[i]! < least) least = this.#served[i]!
    if (least !== Number.POSITIVE_INFINITY && this.#served[priority]! < least) this.#served[priority] = least
  }

  /** The group that is next; each answer counts as a run that begins with it. */
  next(nowMs: number): Group | undefined {
    if (this.isEmpty) return undefined
    // The other runs keep priorities alive where so much waits that everyone ages.
    const aged = this.#isAgedTurn ? undefined : this.#soonest(0, PRIORITIES, nowMs)
    this.#isAgedTurn = aged !== undefined
    if (aged !== undefined) return aged
    if (this.#groups.size === 1) return this.#spare ?? this.#groups.values().next().value
    const priority = this.#nextPriority(this.#served, this.#laneRows)
    return this.#soonest(priority, priority + 1, Number.POSITIVE_INFINITY)
  }

  /** The group whose head in one of these lanes comes first, of those that are due by then. */
  #soonest(fromLane: number, toLane: number, byMs: number): Group | undefined {
    let best: Group | undefined
    let first: Member | undefined
    for (const group of this.#groups.values())
      for (let i = fromLane; i < toLane; i++) {
        const head = group.lanes[i]!.head
        if (head === undefined || head.dueMs > byMs || (first !== undefined && !isBefore(head, first))) continue
        best = group
        first = head
      }
    return best
  }

  #nextPriority(served: readonly number[], rows: readonly number[]): number {
    let next = -1
    for (let i = 0; i < PRIORITIES; i++) if (rows[i]! > 0 && (next === -1 || served[i]! < served[next]!)) next = i
    return next
  }

  /**
   * A group's members in the order they are to run, up to the first `maxRows` rows and the member that reaches them. Says how many
   * there are; `ordered` gives each of them, until the next call or `removeTaken`.
   */
  order(group: Group, nowMs: number, maxRows: number): number {
    this.#forgetOrder()
    const order = this.#order
    let count = 0
    const { lanes } = group
    const at = this.#taken
    at[0] = at[1] = at[2] = 0
    let rows = 0
    const only = group.onlyLane
    if (only !== -1) {
      const lane = lanes[only]!
      let i = 0
      for (; i < lane.length && rows < maxRows; i++) {
        const member = lane.at(i)
        order[count++] = member
        rows += member.rows
      }
      at[only] = i
      this.#ordered = count
      return count
    }
    while (this.#isAgedTurn && rows < maxRows) {
      let best = -1
      for (let i = 0; i < PRIORITIES; i++) {
        if (at[i]! >= lanes[i]!.length) continue
        const member = lanes[i]!.at(at[i]!)
        if (member.dueMs <= nowMs && (best === -1 || isBefore(member, lanes[best]!.at(at[best]!)))) best = i
      }
      if (best === -1) break
      const member = lanes[best]!.at(at[best]!++)
      order[count++] = member
      rows += member.rows
    }
    let high = this.#served[0]!
    let normal = this.#served[1]!
    let low = this.#served[2]!
    while (rows < maxRows) {
      const hasHigh = at[0]! < lanes[0]!.length
      const hasNormal = at[1]! < lanes[1]!.length
      const hasLow = at[2]! < lanes[2]!.length
      let i: number
      if (hasHigh && !(hasNormal && normal < high) && !(hasLow && low < high)) i = 0
      else if (hasNormal && !(hasLow && low < normal)) i = 1
      else if (hasLow) i = 2
      else break
      const member = lanes[i]!.at(at[i]!++)
      order[count++] = member
      rows += member.rows
      if (i === 0) high += member.rows / WEIGHTS[0]!
      else if (i === 1) normal += member.rows / WEIGHTS[1]!
      else low += member.rows / WEIGHTS[2]!
    }
    this.#ordered = count
    return count
  }

  ordered(index: number): Member {
    return this.#order[index]!
  }

  /** Whoever has left keeps no memory here. */
  #forgetOrder(): void {
    for (let i = 0; i < this.#ordered; i++) this.#order[i] = undefined
    this.#ordered = 0
  }

  /** Takes out of the group last ordered who was marked as taken or has an answer by now. Returns their rows. */
  removeTaken(group: Group): number {
    let taken = 0
    for (let i = 0; i < PRIORITIES; i++) {
      const within = this.#taken[i]!
      if (within === 0) continue
      const rows = group.lanes[i]!.removeTaken(within)
      this.#laneRows[i]! -= rows
      taken += rows
    }
    this.#forgetOrder()
    this.#forgetIfEmpty(group)
    return taken
  }

  /** Rows of a priority start to run. */
  serve(priority: number, rows: number): void {
    this.#served[priority]! += rows / WEIGHTS[priority]!
  }

  /** The member that would be missed least: the latest due of this priority; undefined when there is none. */
  takeLast(priority: number): Member | undefined {
    let from: Group | undefined
    for (const group of this.#groups.values()) {
      const last = group.lanes[priority]!.last
      if (last !== undefined && (from === undefined || last.dueMs > from.lanes[priority]!.last!.dueMs)) from = group
    }
    if (from === undefined) return undefined
    const member = from.lanes[priority]!.pop()
    this.#laneRows[priority]! -= member.rows
    this.#forgetIfEmpty(from)
    return member
  }

  /** Takes out every member for which `leaves` says so. */
  removeWhere(leaves: (member: Member) => boolean): void {
    this.#forgetOrder()
    for (const group of this.#groups.values()) {
      for (let i = 0; i < PRIORITIES; i++) {
        const lane = group.lanes[i]!
        if (lane.length === 0) continue
        const before = lane.rows
        lane.removeWhere(leaves)
        this.#laneRows[i]! -= before - lane.rows
      }
      this.#forgetIfEmpty(group)
    }
  }

  /** Shapes are the callers' choice, so groups that are empty must not pile up. */
  #forgetIfEmpty(group: Group): void {
    if (!group.isEmpty || group === this.#spare) return
    if (this.#spare?.isEmpty === true) this.#groups.delete(this.#spare.key)
    this.#spare = group
  }
}

function isBefore(a: Member, b: Member): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}
