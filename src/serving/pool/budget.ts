// Memory and who may use it. A reservation is for its own models alone: they fill it first, and what they need beyond it comes from
// what is shared, like everybody else's.
import { matching } from './name-patterns.js'

/** Bytes that only some models may use. */
export interface Reservation {
  readonly name: string
  /** Names, in which `*` stands for any text. A model belongs to the first reservation that names it. */
  readonly models: readonly string[]
  readonly bytes: number
}

/** Models that count together: those of one reservation, or all others. */
export interface Group {
  readonly reservedBytes: number
  usedBytes: number
  /** Not used any more, and not free yet: backends that are being closed. */
  leavingBytes: number
}

export class Budget {
  readonly bytes: number
  readonly #sharedBytes: number
  readonly #others: Group = { reservedBytes: 0, usedBytes: 0, leavingBytes: 0 }
  readonly #reservations: { readonly matches: (model: string) => boolean; readonly group: Group }[]
  readonly #groups: readonly Group[]

  constructor(bytes: number, reservations: readonly Reservation[]) {
    this.bytes = bytes
    this.#sharedBytes = reservations.reduce((left, reservation) => left - reservation.bytes, bytes)
    this.#reservations = reservations.map(({ models, bytes: reservedBytes }) => ({
      matches: matching(models),
      group: { reservedBytes, usedBytes: 0, leavingBytes: 0 },
    }))
    this.#groups = [this.#others, ...this.#reservations.map(({ group }) => group)]
  }

  get usedBytes(): number {
    return this.#groups.reduce((sum, { usedBytes }) => sum + usedBytes, 0)
  }

  groupOf(model: string): Group {
    return this.#reservations.find(({ matches }) => matches(model))?.group ?? this.#others
  }

  /** What a version of a group can have when there is no other. */
  largestBytes(group: Group): number {
    return this.#sharedBytes + group.reservedBytes
  }

  /** By how many bytes what is used exceeds what there is, with `change` in mind; 0 or less when it fits. */
  excessBytes(change: ReadonlyMap<Group, number> = NO_CHANGE): number {
    let excess = -this.#sharedBytes
    for (const group of this.#groups)
      excess += Math.max(0, group.usedBytes + (change.get(group) ?? 0) - group.reservedBytes)
    return excess
  }

  /** All that is used fits beside what is still leaving. */
  get isFree(): boolean {
    return this.excessBytes(new Map(this.#groups.map((group) => [group, group.leavingBytes]))) <= 0
  }
}

const NO_CHANGE: ReadonlyMap<Group, number> = new Map()
