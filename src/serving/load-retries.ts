// Loads again, later, what failed to load for a reason outside of it: its server was down, or a version that it needs was not there
// yet. Nobody has to restart anything when that is cured.
import { type Clock, HeadraceError, type Random, type Stop, type Timer, versionKey } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import type { BackendFactory, Pool, VersionStatus } from './types.js'

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
const JITTER = 0.2

interface Known {
  readonly artifact: VersionArtifact
  failures: number
  timer: Timer | undefined
  /** Keys of the versions whose arrival may cure it. */
  waitsFor: readonly string[]
}

export class LoadRetries {
  readonly #known = new Map<string, Known>()
  #pool: Pick<Pool, 'load' | 'watch'> | undefined

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** A factory whose versions are loaded again. */
  of(load: BackendFactory): BackendFactory {
    return (artifact, options) => {
      const key = versionKey(artifact.ref)
      const failures = this.#known.get(key)?.failures ?? 0
      this.#known.set(key, { artifact, failures, timer: undefined, waitsFor: [] })
      return load(artifact, options)
    }
  }

  /** Begins to follow the pool that has those factories. */
  follow(pool: Pick<Pool, 'load' | 'watch'>): Stop {
    this.#pool = pool
    const stop = pool.watch((status) => this.#on(status))
    return () => {
      stop()
      for (const { timer } of this.#known.values()) timer?.cancel()
      this.#known.clear()
    }
  }

  #on({ ref, state, error }: VersionStatus): void {
    const key = versionKey(ref)
    const known = this.#known.get(key)
    if (known !== undefined) {
      known.timer?.cancel()
      known.timer = undefined
      if (state === 'unloading' || state === 'unloaded') this.#known.delete(key)
      else if (state === 'ready') known.failures = 0
      else if (state === 'failed' && error instanceof HeadraceError && isCurable(error)) this.#failed(known, error)
    }
    if (state === 'ready' || state === 'resting')
      for (const waiting of this.#known.values())
        if (waiting.timer !== undefined && waiting.waitsFor.includes(key)) this.#reload(waiting)
  }

  #failed(known: Known, error: HeadraceError): void {
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(10, known.failures++))
    const waitsFor = error.params['waitsFor']
    known.waitsFor = Array.isArray(waitsFor) ? waitsFor.map(String) : []
    known.timer = this.clock.after(pauseMs * (1 - JITTER + 2 * JITTER * this.random.next()), () => this.#reload(known))
  }

  #reload(known: Known): void {
    known.timer?.cancel()
    known.timer = undefined
    void this.#pool?.load(known.artifact)
  }
}

/** Whether the same load may succeed later: its own error says so, or the one that its test prediction failed with. */
function isCurable({ retry, cause }: HeadraceError): boolean {
  return retry || (cause instanceof HeadraceError && cause.retry)
}
