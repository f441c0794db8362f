// What users got, counted: for the whole demo, for the fault now, and for the last seconds that the view shows.

/** How one request ended. */
export interface Outcome {
  readonly endpoint: string
  /** What answered: `v2`, `cached`, or second best `v1 instead`, `rule`, `stale`, `as listed`; `failed` when nothing did. */
  readonly by: string
  /** Why nothing did. */
  readonly problem?: string
  /** As the user waited, retries included. */
  readonly latencyMs: number
}

export const FAILED = 'failed'
const WINDOW_MS = 2_000

interface Timed extends Outcome {
  readonly endedMs: number
}

/** Of one endpoint, over the last two seconds. */
export interface Now {
  readonly endpoint: string
  readonly perSecond: number
  readonly p99Ms: number
  /** Answers by what gave them, most first. */
  readonly by: readonly (readonly [string, number])[]
  /** Since the start. */
  readonly failed: number
}

export class Tally {
  readonly #endpoints: readonly string[]
  readonly #failed = new Map<string, number>()
  #recent: Timed[] = []
  /** Everything since the start, by endpoint and by what answered. */
  readonly total = new Counts()

  constructor(endpoints: readonly string[]) {
    this.#endpoints = endpoints
  }

  add(outcome: Outcome, nowMs: number): void {
    this.#recent.push({ ...outcome, endedMs: nowMs })
    this.total.add(outcome)
    if (outcome.by === FAILED) this.#failed.set(outcome.endpoint, (this.#failed.get(outcome.endpoint) ?? 0) + 1)
  }

  now(nowMs: number): readonly Now[] {
    this.#recent = this.#recent.filter(({ endedMs }) => endedMs > nowMs - WINDOW_MS)
    return this.#endpoints.map((endpoint) => {
      const recent = this.#recent.filter((outcome) => outcome.endpoint === endpoint)
      const counts = new Counts()
      for (const outcome of recent) counts.add(outcome)
      return {
        endpoint,
        perSecond: recent.length / (WINDOW_MS / 1000),
        p99Ms: quantile(
          recent.map(({ latencyMs }) => latencyMs),
          0.99,
        ),
        by: counts.by(endpoint),
        failed: this.#failed.get(endpoint) ?? 0,
      }
    })
  }
}

export class Counts {
  readonly #counts = new Map<string, Map<string, number>>()
  readonly #latenciesMs: number[] = []
  /** Requests without an answer, by what was wrong. */
  readonly problems = new Map<string, number>()
  failed = 0

  add({ endpoint, by, latencyMs, problem = 'unknown' }: Outcome): void {
    const counts = this.#counts.get(endpoint) ?? new Map<string, number>()
    this.#counts.set(endpoint, counts.set(by, (counts.get(by) ?? 0) + 1))
    this.#latenciesMs.push(latencyMs)
    if (by !== FAILED) return
    this.failed++
    this.problems.set(problem, (this.problems.get(problem) ?? 0) + 1)
  }

  get requests(): number {
    return this.#latenciesMs.length
  }

  get p99Ms(): number {
    return quantile(this.#latenciesMs, 0.99)
  }

  /** Most first. */
  by(endpoint: string): readonly (readonly [string, number])[] {
    return [...(this.#counts.get(endpoint) ?? [])].sort((a, b) => b[1] - a[1])
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0
}
