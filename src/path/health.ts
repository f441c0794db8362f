// What the path knows about the health of versions: a circuit and an expected time for each, shared by all endpoints. Kept by the
// object that serves a version, so that one that is loaded anew starts afresh.
import type { Gauge, HeadraceError, Platform, VersionRef } from '../core/index.js'
import { Breaker, type BreakerState } from '../flow/index.js'
import type { ServedVersion } from '../serving/index.js'

export interface BreakerChange {
  readonly version: VersionRef
  readonly state: BreakerState
}

export interface HealthOptions {
  readonly platform: Platform
  /** Told after the circuit has changed; it must not throw. */
  readonly onBreaker?: ((change: BreakerChange) => void) | undefined
}

const STATE_VALUES: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2 }

/** Weight of the newest call in the mean: it follows a change within some tens of calls. */
const NEWEST_WEIGHT = 0.1

export class VersionHealth {
  readonly #served: ServedVersion
  readonly #breaker: Breaker
  #meanMs: number | undefined

  constructor(served: ServedVersion, breaker: Breaker) {
    this.#served = served
    this.#breaker = breaker
  }

  admits(): boolean {
    return this.#breaker.admits()
  }

  /** The version's own forecast when it has one, else the mean of its calls here. */
  expectedMs(rows: number): number | undefined {
    return this.#served.leaf.expectedMs?.(rows) ?? this.#meanMs
  }

  /** How a call ended. Only calls that `admits` let through are `isGuarded`; the others say nothing to the circuit. */
  succeeded(latencyMs: number, isGuarded: boolean): void {
    this.#meanMs = this.#meanMs === undefined ? latencyMs : this.#meanMs + (latencyMs - this.#meanMs) * NEWEST_WEIGHT
    if (isGuarded) this.#breaker.succeeded(latencyMs)
  }

  failed(error: HeadraceError, latencyMs: number): void {
    // Overload, the caller's mistakes and a load that takes its time are not the version's.
    if (error.status >= 500 && !isWaitForLoad(error)) this.#breaker.failed(latencyMs)
    else this.#breaker.ignored(latencyMs)
  }

  /** It was given up at its deadline. */
  timedOut(latencyMs: number): void {
    this.#breaker.failed(latencyMs)
  }

  /** Its answer was not needed any more. */
  cancelled(latencyMs: number): void {
    this.#breaker.ignored(latencyMs)
  }
}

function isWaitForLoad({ code, params }: HeadraceError): boolean {
  return code === 'SERVING_POOL_FULL' || (code === 'SERVING_DEADLINE_EXCEEDED' && params['phase'] === 'loading')
}

export class Health {
  readonly #platform: Platform
  readonly #onBreaker: ((change: BreakerChange) => void) | undefined
  readonly #versions = new WeakMap<ServedVersion, VersionHealth>()
  readonly #states
  readonly #transitions

  constructor({ platform, onBreaker }: HealthOptions) {
    this.#platform = platform
    this.#onBreaker = onBreaker
    this.#states = platform.metrics.gauge({
      name: 'ml_breaker_state',
      help: "A version's circuit: 0 closed, 1 half-open, 2 open. Only versions that a route has an alternative to.",
      labels: ['model', 'version'],
      together: 'max',
    })
    this.#transitions = platform.metrics.counter({
      name: 'ml_breaker_transitions_total',
      help: "Changes of versions' circuits, by the state they came to.",
      labels: ['model', 'version', 'state'],
    })
  }

  of(served: ServedVersion): VersionHealth {
    let health = this.#versions.get(served)
    if (!health) {
      health = new VersionHealth(served, this.#breakerOf(served))
      this.#versions.set(served, health)
    }
    return health
  }

  #breakerOf({ ref, manifest }: ServedVersion): Breaker {
    const { clock, random } = this.#platform
    const labels = [ref.model, String(ref.version)] as const
    const state: Gauge = this.#states.with(...labels)
    state.set(STATE_VALUES.closed)
    return new Breaker({
      clock,
      random,
      ...(manifest.slowMs === undefined ? undefined : { slowMs: manifest.slowMs }),
      onChange: (to) => {
        state.set(STATE_VALUES[to])
        this.#transitions.with(...labels, to).inc()
        this.#onBreaker?.({ version: ref, state: to })
      },
    })
  }
}
