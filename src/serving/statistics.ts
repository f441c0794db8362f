// What a version has done since the server started, in the counts and times that Triton's clients ask for. Written on the hot path,
// hence plain fields; times are nanoseconds because theirs are.
import type { VersionRef } from '../core/index.js'

/** How often, and how long altogether. */
export class Timing {
  count = 0
  ns = 0

  add(count: number, ms: number): void {
    this.count += count
    this.ns += ms * NS_PER_MS
  }
}

const NS_PER_MS = 1e6

/** Runs of one size. */
export class BatchStatistics {
  readonly computeInput = new Timing()
  readonly computeInfer = new Timing()
  readonly computeOutput = new Timing()
}

/**
 * Who or what is to blame. `rejected`: there was no room or no time for it; `canceled`: nobody waited any more; `backend`: its run
 * failed; `other`: it could not have been answered, a wrong input for instance.
 */
export type FailureReason = 'rejected' | 'canceled' | 'backend' | 'other'

/** Callers choose how many rows a request has: sizes beyond so many are counted with the next power of two. */
const MAX_SIZES = 1024

/** Outlives the version's unload, and counts on when it is loaded again. */
export class VersionStatistics {
  /** Requests that were answered; those from the cache are among them. */
  readonly success = new Timing()
  /** All others, also those that were turned away. */
  readonly fail = new Timing()
  readonly queue = new Timing()
  /** Joining calls into a run, and padding them. */
  readonly computeInput = new Timing()
  /** The run itself, with the way to its thread and back. */
  readonly computeInfer = new Timing()
  /** Cutting a run's outputs into answers. */
  readonly computeOutput = new Timing()
  /** Answers that took no run of their own: kept ones, and those of an identical call that was under way. */
  readonly cacheHit = new Timing()
  readonly cacheMiss = new Timing()
  /** Rows that ran. */
  rows = 0
  /** Runs. */
  executions = 0
  readonly failures: Record<FailureReason, number> = { rejected: 0, canceled: 0, backend: 0, other: 0 }
  /** Runs by their rows. */
  readonly batches = new Map<number, BatchStatistics>()
  /** Monotonic time of the last run's end. */
  lastInferenceMs: number | undefined
  /** How long its last load took, with its test predictions. */
  loadMs: number | undefined
  /** Of each instance that is loaded: two while one takes the other's place. */
  readonly queues = new Set<{ readonly length: number }>()

  /** Requests that wait for a run now. */
  get pending(): number {
    let pending = 0
    for (const { length } of this.queues) pending += length
    return pending
  }

  /** A request was answered by a run. */
  succeeded(queueMs: number, totalMs: number): void {
    this.success.add(1, totalMs)
    this.queue.add(1, queueMs)
    this.computeInput.count++
    this.computeInfer.count++
    this.computeOutput.count++
  }

  /** A request was answered without a run of its own. */
  hit(lookupMs: number): void {
    this.success.add(1, lookupMs)
    this.queue.count++
    this.cacheHit.add(1, lookupMs)
  }

  failed(code: string, totalMs: number): void {
    this.fail.add(1, totalMs)
    this.failures[reasonOf(code)]++
  }

  /** A run ended well. `answers`: calls in it, each of which took all of its time. */
  ran(rows: number, answers: number, inputMs: number, inferMs: number, outputMs: number, endedMs: number): void {
    this.rows += rows
    this.executions++
    this.lastInferenceMs = endedMs
    // Answers are counted before they have been cut.
    this.success.add(0, outputMs * answers)
    this.computeInput.add(0, inputMs * answers)
    this.computeInfer.add(0, inferMs * answers)
    this.computeOutput.add(0, outputMs * answers)
    const batch = this.batches.get(rows) ?? this.#addSize(rows)
    batch.computeInput.add(1, inputMs)
    batch.computeInfer.add(1, inferMs)
    batch.computeOutput.add(1, outputMs)
  }

  #addSize(rows: number): BatchStatistics {
    const size = this.batches.size < MAX_SIZES ? rows : 2 ** Math.ceil(Math.log2(rows))
    let batch = this.batches.get(size)
    if (batch === undefined) {
      batch = new BatchStatistics()
      this.batches.set(size, batch)
    }
    return batch
  }
}

const REASONS: ReadonlyMap<string, FailureReason> = new Map([
  ['SERVING_QUEUE_FULL', 'rejected'],
  ['SERVING_OVERLOADED', 'rejected'],
  ['SERVING_DISPLACED', 'rejected'],
  ['SERVING_DEADLINE_EXCEEDED', 'rejected'],
  ['SERVING_MODEL_UNREADY', 'rejected'],
  ['SERVING_CANCELLED', 'canceled'],
  ['PATH_OVERLOADED', 'rejected'],
  ['PATH_DRAINING', 'rejected'],
])

/** What a request was refused for before any run. */
const CALLERS = /^(TENSOR|OIP|HTTP|PARSE|KSERVE|NATIVE|PATH)_|^SERVING_LENGTHS_DIFFER$/

function reasonOf(code: string): FailureReason {
  return REASONS.get(code) ?? (CALLERS.test(code) ? 'other' : 'backend')
}

/** The statistics of every version that was ever loaded. */
export interface StatisticsBook {
  /** Those of a version, empty ones when it is new. */
  open(ref: VersionRef): VersionStatistics
  get(ref: VersionRef): VersionStatistics | undefined
  list(): readonly VersionRecord[]
}

export interface VersionRecord {
  readonly ref: VersionRef
  readonly statistics: VersionStatistics
}

export function createStatisticsBook(): StatisticsBook {
  const records = new Map<string, VersionRecord>()
  const keyOf = ({ model, version }: VersionRef) => `${model}/${version}`
  return {
    open(ref) {
      const key = keyOf(ref)
      const known = records.get(key)
      if (known !== undefined) return known.statistics
      const statistics = new VersionStatistics()
      records.set(key, { ref, statistics })
      return statistics
    },
    get: (ref) => records.get(keyOf(ref))?.statistics,
    list: () => [...records.values()],
  }
}
