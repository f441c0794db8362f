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
  readonly #predictions = new Set<Prediction>()
  #hasGone = false

  constructor(private readonly clients: Clients) {}

  /** Before a prediction goes down the path; it is told at once when the client has gone already. */
  enter(prediction: Prediction): void {
    prediction.cancelled = this.#hasGone
    this.#predictions.add(prediction)
  }

  leave(prediction: Prediction): void {
    this.#predictions.delete(prediction)
  }

  /** The connection has closed. */
  gone(): void {
    this.#hasGone = true
    if (this.#predictions.size === 0) return
    for (const prediction of this.#predictions) prediction.cancelled = true
    this.clients.dropSoon()
  }
}
