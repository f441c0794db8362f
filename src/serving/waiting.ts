// Members that wait for a run, in groups that can share one: first in, first out, within a group and between the groups' heads.
// Because the oldest head always goes first, a shape that is rare never starves behind one that is common.
import type { Member } from './member.js'
import type { ShapeKey } from './shape-key.js'

/** Members of one shape. A linked list, so that taking from the front and dropping from the middle cost nothing. */
export class Group {
  head: Member | undefined = undefined
  #tail: Member | undefined = undefined

  constructor(readonly key: ShapeKey) {}

  push(member: Member): void {
    if (this.#tail === undefined) this.head = member
    else this.#tail.next = member
    this.#tail = member
  }

  shift(): Member {
    const member = this.head!
    this.head = member.next
    if (this.head === undefined) this.#tail = undefined
    member.next = undefined
    return member
  }
}

export class Waiting {
  readonly #groups = new Map<ShapeKey, Group>()
  #order = 0

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  push(key: ShapeKey, member: Member): void {
    member.order = this.#order++
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = new Group(key)
      this.#groups.set(key, group)
    }
    group.push(member)
  }

  /** The group whose head has waited longest. */
  oldest(): Group | undefined {
    let oldest: Group | undefined
    for (const group of this.#groups.values())
      if (oldest === undefined || group.head!.order < oldest.head!.order) oldest = group
    return oldest
  }

  /** Takes the head of a group. */
  shift(group: Group): Member {
    const member = group.shift()
    // Shapes are the callers' choice, so groups that are empty must not pile up.
    if (group.head === undefined) this.#groups.delete(group.key)
    return member
  }

  /** Takes out every member for which `leaves` says so. */
  removeWhere(leaves: (member: Member) => boolean): void {
    for (const group of this.#groups.values()) {
      const kept: Member[] = []
      while (group.head !== undefined) {
        const member = group.shift()
        if (!leaves(member)) kept.push(member)
      }
      for (const member of kept) group.push(member)
      if (group.head === undefined) this.#groups.delete(group.key)
    }
  }
}
