// A computation under way for one key, and those who wait for its answer.
import type { HeadraceError } from '../../core/index.js'
import type { Deadline } from '../../flow/index.js'
import type { LeafInput, LeafResult, Priority } from '../types.js'

export class Waiter {
  constructor(
    readonly input: LeafInput,
    readonly deadline: Deadline,
    /** Monotonic milliseconds. */
    readonly arrivedMs: number,
    readonly resolve: (result: LeafResult) => void,
    readonly reject: (error: HeadraceError) => void,
  ) {}
}

/** What is given to the leaf behind: the request of one of those who wait, but not their cancellation. */
export class FlightInput implements LeafInput {
  readonly tensors: LeafInput['tensors']
  readonly rows: number
  readonly outputs: LeafInput['outputs']
  readonly priority: Priority
  cancelled = false

  constructor(input: LeafInput, priority: Priority) {
    this.tensors = input.tensors
    this.rows = input.rows
    this.outputs = input.outputs
    this.priority = priority
  }
}

export class Flight {
  /** In order of arrival; the first one leads, unless this is a refresh. */
  readonly waiters: Waiter[] = []
  /** The call of the leaf behind whose failure is everybody's; undefined before it is made. */
  run: FlightInput | undefined = undefined
  /** Nobody joins it any more. */
  isOver = false
  /** Whether its answer is a reply to one of those who asked. */
  feedsLastKnown = false
  /** Tells the processes that share answers how it ended. */
  publish: ((bytes: Uint8Array | undefined, ttlMs: number) => void) | undefined = undefined

  constructor(
    readonly key: string,
    readonly hash: number,
    /** It runs on when nobody waits. */
    readonly isRefresh: boolean,
  ) {}

  add(waiter: Waiter): void {
    this.waiters.push(waiter)
    if (waiter.input.feedsLastKnown !== false) this.feedsLastKnown = true
  }

  /** Turns away those for whom `ends` has an error. */
  release(ends: (waiter: Waiter) => HeadraceError | undefined): void {
    let kept = 0
    for (let i = 0; i < this.waiters.length; i++) {
      const waiter = this.waiters[i]!
      const error = ends(waiter)
      if (error === undefined) this.waiters[kept++] = waiter
      else waiter.reject(error)
    }
    this.waiters.length = kept
  }

  /** Who can wait longest. */
  patient(): Waiter | undefined {
    let best = this.waiters[0]
    for (let i = 1; i < this.waiters.length; i++)
      if (this.waiters[i]!.deadline.atMs > best!.deadline.atMs) best = this.waiters[i]
    return best
  }

  /** The highest among those who wait. */
  priority(): Priority {
    let best: Priority = 'low'
    for (let i = 0; i < this.waiters.length; i++) {
      const priority = priorityOf(this.waiters[i]!.input)
      if (outranks(priority, best)) best = priority
    }
    return best
  }
}

const RANKS: { readonly [P in Priority]: number } = { low: 0, normal: 1, high: 2 }

export function priorityOf(input: LeafInput): Priority {
  return input.priority ?? 'normal'
}

export function outranks(priority: Priority, other: Priority): boolean {
  return RANKS[priority] > RANKS[other]
}
