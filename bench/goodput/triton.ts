// Triton's dynamic batcher, after triton-inference-server/core (src/dynamic_batch_scheduler.cc, scheduler_utils.cc,
// instance_queue.cc and rate_limiter.cc of 2024, written anew): one scheduler thread that costs no time, one model instance.
//
// Left out because the traces cannot tell: shapes, custom batching, ordering, the cache, sequences, and the rule that wakes the
// thread less often than at every arrival (a wake too many finds the same batch again). A saved cursor is the same as walking
// from the head again for the same reason.
import type { Timer } from '../../src/core/index.js'
import type { Bench, CreateScheduler, Request, Scheduler } from './replay.js'

/** Names as in config.pbtxt, in milliseconds instead of microseconds. */
export interface TritonConfig {
  readonly maxBatchSize: number
  /** Empty means `[maxBatchSize]`. */
  readonly preferredBatchSizes?: readonly number[]
  readonly maxQueueDelayMs?: number
  /** Requests; 0 is unlimited. */
  readonly maxQueueSize?: number
  /**
   * `default_timeout_microseconds` with REJECT and `allow_timeout_override`; 0 is never. A request's own timeout counts only
   * if it is smaller.
   */
  readonly defaultTimeoutMs?: number
  /** The `timeout` that a client sends with a request; 0 sends none. */
  readonly timeoutMs?: (request: Request) => number
  /** The `priority` that a client sends, 1 the highest. Default: no priority levels. */
  readonly priority?: (request: Request) => number
}

interface Queued {
  readonly request: Request
  /** Infinity when it never expires. */
  readonly expiresMs: number
}

interface Payload {
  readonly requests: Request[]
  rows: number
  isSaturated: boolean
  isExecuting: boolean
  isScheduled: boolean
}

/** Payloads that may wait for an instance when nothing can expire. */
const PREFETCHED = 2

export function tritonWith(config: TritonConfig): CreateScheduler {
  return (bench) => new Triton(bench, config)
}

class Triton implements Scheduler {
  /** By priority level; a batch goes on into the next level when one is used up. */
  readonly #levels: { readonly level: number; readonly queue: Queued[] }[] = []
  readonly #instanceQueue: Payload[] = []
  readonly #preferred: ReadonlySet<number>
  readonly #largestPreferred: number
  readonly #delayMs: number
  readonly #prefetches: boolean
  #payload = newPayload()
  #isRunning = false
  #timer: Timer | undefined

  constructor(
    private readonly bench: Bench,
    private readonly config: TritonConfig,
  ) {
    const { preferredBatchSizes = [], maxBatchSize, defaultTimeoutMs = 0, maxQueueSize = 0, priority } = config
    this.#preferred = new Set(preferredBatchSizes.length === 0 ? [maxBatchSize] : preferredBatchSizes)
    this.#largestPreferred = Math.max(...this.#preferred)
    this.#delayMs = config.maxQueueDelayMs ?? 0
    this.#prefetches = defaultTimeoutMs === 0 && maxQueueSize === 0 && priority === undefined
  }

  submit(request: Request): void {
    const { priority, maxQueueSize = 0 } = this.config
    const queue = this.#queueOf(priority?.(request) ?? 0)
    const nowMs = this.bench.clock.monotonicMs()
    if (maxQueueSize > 0 && queue.length >= maxQueueSize) {
      this.#rejectExpired(queue, nowMs)
      if (queue.length >= maxQueueSize) {
        request.answer(false)
        return
      }
    }
    queue.push({ request, expiresMs: this.#expiry(request, nowMs) })
    this.#work()
  }

  #expiry(request: Request, nowMs: number): number {
    const { defaultTimeoutMs = 0, timeoutMs } = this.config
    const own = timeoutMs?.(request) ?? 0
    const limit = own > 0 && own < defaultTimeoutMs ? own : defaultTimeoutMs
    return limit > 0 ? nowMs + limit : Number.POSITIVE_INFINITY
  }

  #queueOf(level: number): Queued[] {
    let found = this.#levels.find((other) => other.level === level)
    if (found === undefined) {
      found = { level, queue: [] }
      this.#levels.push(found)
      this.#levels.sort((a, b) => a.level - b.level)
    }
    return found.queue
  }

  #rejectExpired(queue: Queued[], nowMs: number): void {
    let kept = 0
    for (const queued of queue) {
      if (nowMs > queued.expiresMs) queued.request.answer(false)
      else queue[kept++] = queued
    }
    queue.length = kept
  }

  /** The loop of BatcherThread, until it would wait. */
  #work(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (;;) {
      if (this.#payload.isSaturated || this.#payload.isExecuting) this.#payload = newPayload()
      if (this.#levels.every(({ queue }) => queue.length === 0) || !this.#hasSlot()) return
      const waitMs = this.#getDynamicBatch()
      if (waitMs > 0) {
        this.#timer = this.bench.clock.after(waitMs, () => this.#work())
        return
      }
      const payload = this.#payload
      if (payload.requests.length === 0) continue // Everything in the queue had expired.
      if (!payload.isScheduled) {
        payload.isScheduled = true
        this.#instanceQueue.push(payload)
        this.#startInstance()
      }
    }
  }

  #hasSlot(): boolean {
    return this.#prefetches
      ? this.#instanceQueue.length < PREFETCHED
      : !this.#isRunning && this.#instanceQueue.length === 0
  }

  /** Moves the batch to send into the payload and returns 0, or returns how long to wait for more. */
  #getDynamicBatch(): number {
    const { maxBatchSize } = this.config
    const payload = this.#payload
    const nowMs = this.bench.clock.monotonicMs()
    const pending: Queued[] = []
    let pendingRows = 0
    let bestRows = 0
    let bestCount = 0
    let closestExpiryMs = Number.POSITIVE_INFINITY
    let oldestMs = Number.POSITIVE_INFINITY
    let sendNow = false
    walk: for (const { queue } of this.#levels) {
      let i = 0
      while (i < queue.length) {
        const queued = queue[i]!
        if (nowMs > queued.expiresMs) {
          let end = i + 1
          while (end < queue.length && nowMs > queue[end]!.expiresMs) end++
          for (const { request } of queue.splice(i, end - i)) request.answer(false)
          continue
        }
        const rows = payload.rows + pendingRows + queued.request.rows
        if (payload.rows + pendingRows > 0) {
          if (rows > this.#largestPreferred && bestRows === 0) {
            bestRows = pendingRows
            bestCount = pending.length
            payload.isSaturated = true
          }
          if (rows > maxBatchSize) {
            sendNow = true
            break walk
          }
        }
        pending.push(queued)
        pendingRows += queued.request.rows
        closestExpiryMs = Math.min(closestExpiryMs, queued.expiresMs)
        oldestMs = Math.min(oldestMs, queued.request.arrivedMs)
        i++
        if (this.#preferred.has(rows)) {
          bestRows = pendingRows
          bestCount = pending.length
        }
      }
    }
    const ageMs = nowMs - oldestMs
    const isDelayExceeded = this.#delayMs > 0 && ageMs >= this.#delayMs
    if (bestRows > 0 && !isDelayExceeded) {
      if (this.#delayMs === 0) payload.isSaturated = true
      this.#take(bestCount)
      return 0
    }
    if (pending.length === 0) return 0
    if (sendNow || payload.rows + pendingRows >= this.#largestPreferred) {
      payload.isSaturated = true
      this.#take(pending.length)
      return 0
    }
    const mustMove = !payload.isSaturated && payload.rows > 0 && !this.#preferred.has(payload.rows)
    if (isDelayExceeded || this.#delayMs === 0 || mustMove) {
      this.#take(pending.length)
      return 0
    }
    // 1 µs is the shortest wait of the original too; it also sees to it that time goes on here.
    return Math.max(0.001, Math.min(this.#delayMs - ageMs, closestExpiryMs - nowMs))
  }

  #take(count: number): void {
    let left = count
    for (const { queue } of this.#levels) {
      for (const { request } of queue.splice(0, left)) {
        this.#payload.requests.push(request)
        this.#payload.rows += request.rows
        left--
      }
      if (left === 0) break
    }
  }

  /** The instance's thread: takes a payload, with those behind it that have waited long enough, and runs it. */
  #startInstance(): void {
    if (this.#isRunning) return
    const payload = this.#instanceQueue.shift()
    if (payload === undefined) return
    payload.isExecuting = true
    if (this.#delayMs > 0 && !payload.isSaturated) this.#merge(payload)
    this.#isRunning = true
    this.bench.instance.run(payload.rows, () => {
      this.#isRunning = false
      for (const request of payload.requests) request.answer(true)
      this.#startInstance()
      this.#work()
    })
  }

  #merge(payload: Payload): void {
    const nowMs = this.bench.clock.monotonicMs()
    for (let next = this.#instanceQueue[0]; next !== undefined; next = this.#instanceQueue[0]) {
      const isOld = nowMs - next.requests[0]!.arrivedMs > this.#delayMs
      if (next.isSaturated || !isOld || payload.rows + next.rows > this.config.maxBatchSize) return
      next.isExecuting = true
      payload.requests.push(...next.requests)
      payload.rows += next.rows
      this.#instanceQueue.shift()
    }
  }
}

function newPayload(): Payload {
  return { requests: [], rows: 0, isSaturated: false, isExecuting: false, isScheduled: false }
}
