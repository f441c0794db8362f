// When a batch is put together: at the end of a turn of the event loop, so that all calls read in one turn share a run. Calls that
// keep coming alone, those of a single client for instance, have nobody to wait for: going at once saves them another turn, some
// 3 of the 20 µs that a small model's request takes (2026-11-22). Now and then one waits all the same, to see whether others come.

/** So many turns in a row with a single call are followed by calls that do not wait. */
const ALONE_TURNS = 32
/** One call in so many waits to the end of its turn. */
const PROBE_EVERY = 16

export class TurnEnd {
  #aloneTurns = 0

  constructor(
    /** Runs a callback at the end of this turn of the event loop. */
    private readonly defer: (callback: () => void) => void,
    /** Runs a callback once the call that is being made has returned. */
    private readonly soon: (callback: () => void) => void,
  ) {}

  schedule(dispatch: () => void): void {
    if (this.#aloneTurns < ALONE_TURNS || this.#aloneTurns % PROBE_EVERY === 0) this.defer(dispatch)
    else this.soon(dispatch)
  }

  /** How many calls had come when a dispatch took place. */
  sawCalls(calls: number): void {
    this.#aloneTurns = calls === 1 ? this.#aloneTurns + 1 : 0
  }
}
