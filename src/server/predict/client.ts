// The predictions of one connection: what is still queued for a client that goes away is dropped.
import type { Clock, Timer } from '../../core/index.js'
import type { Prediction } from '../../path/index.js'

/** Several clients that go away together cost one pass over the queues. */
const DROP_AFTER_MS = 4

/** One per server. */
export class Clients {
  #timer: Timer | undefined

  constructor(
    private readonly clock: Clock,
    /** Looks through everything that is queued. */
    private readonly dropCancelled: () => void,
  ) {}

  open(): Client {
    return new Client(this)
  }

  dropSoon(): void {
    this.#timer ??= this.clock.after(DROP_AFTER_MS, () => {
      this.#timer = undefined
      this.dropCancelled()
    })
  }
}

/** One per connection. */
export class Client {
  /** Nearly all connections have one prediction at a time; the others of one that has more are in the set. */
  #only: Prediction | undefined = undefined
  #others: Set<Prediction> | undefined = undefined
  #hasGone = false

  constructor(private readonly clients: Clients) {}

  /** Before a prediction goes down the path; it is told at once when the client has gone already. */
  enter(prediction: Prediction): void {
    prediction.cancelled = this.#hasGone
    if (this.#only === undefined) {
      this.#only = prediction
      return
    }
    this.#others ??= new Set()
    this.#others.add(prediction)
  }

  leave(prediction: Prediction): void {
    if (this.#only === prediction) this.#only = undefined
    else this.#others?.delete(prediction)
  }

  /** The connection has closed. */
  gone(): void {
    this.#hasGone = true
    if (this.#only !== undefined) this.#only.cancelled = true
    if (this.#others !== undefined) for (const prediction of this.#others) prediction.cancelled = true
    if (this.#only !== undefined || (this.#others?.size ?? 0) > 0) this.clients.dropSoon()
  }
}
