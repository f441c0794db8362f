// The leases of one process: until when it may call each release's candidate. On the monotonic clock and asked at each request, so a
// process that was paused and woken sends nothing to a candidate before it has looked again.
import type { Clock, Stop, Timer } from '../core/index.js'

/** How long after a look at the metadata store a candidate may be called. */
export const LEASE_MS = 3_000

interface Lease {
  /** Monotonic milliseconds. */
  untilMs: number
  /** The candidate is loaded in this process. */
  isWarm: boolean
  readonly waiting: Set<() => void>
  timer: Timer | undefined
}

export class LeaseTable {
  readonly #clock: Clock
  readonly #leases = new Map<string, Lease>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  holds(release: string): boolean {
    const lease = this.#leases.get(release)
    return lease?.isWarm === true && this.#clock.monotonicMs() < lease.untilMs
  }

  /** Whether the store allows it, whatever this process can do. */
  isGranted(release: string): boolean {
    const lease = this.#leases.get(release)
    return lease !== undefined && this.#clock.monotonicMs() < lease.untilMs
  }

  onLost(release: string, lost: () => void): Stop {
    const lease = this.#leases.get(release)
    if (lease === undefined || !this.holds(release)) {
      lost()
      return () => undefined
    }
    lease.waiting.add(lost)
    return () => lease.waiting.delete(lost)
  }

  /** Until so many milliseconds of the monotonic clock; an earlier end than the present one changes nothing. */
  grant(release: string, untilMs: number): void {
    const lease = this.#of(release)
    if (untilMs <= lease.untilMs) return
    lease.untilMs = untilMs
    this.#watch(lease)
  }

  warm(release: string, isWarm: boolean): void {
    const lease = this.#of(release)
    lease.isWarm = isWarm
    if (!isWarm) this.#lose(lease)
  }

  /** At once: calls under way are told. */
  drop(release: string): void {
    const lease = this.#leases.get(release)
    if (lease === undefined) return
    lease.untilMs = Number.NEGATIVE_INFINITY
    this.#lose(lease)
    lease.timer?.cancel()
    lease.timer = undefined
  }

  /** Forgets all releases but these. */
  keep(releases: ReadonlySet<string>): void {
    for (const release of [...this.#leases.keys()]) {
      if (releases.has(release)) continue
      this.drop(release)
      this.#leases.delete(release)
    }
  }

  #of(release: string): Lease {
    let lease = this.#leases.get(release)
    if (lease === undefined) {
      lease = { untilMs: Number.NEGATIVE_INFINITY, isWarm: false, waiting: new Set(), timer: undefined }
      this.#leases.set(release, lease)
    }
    return lease
  }

  /** One timer at a time: one that fires when the lease was renewed meanwhile only asks again. */
  #watch(lease: Lease): void {
    if (lease.timer !== undefined) return
    lease.timer = this.#clock.after(Math.max(0, lease.untilMs - this.#clock.monotonicMs()), () => {
      lease.timer = undefined
      if (this.#clock.monotonicMs() < lease.untilMs) this.#watch(lease)
      else this.#lose(lease)
    })
  }

  #lose(lease: Lease): void {
    const waiting = [...lease.waiting]
    lease.waiting.clear()
    for (const lost of waiting) lost()
  }
}
