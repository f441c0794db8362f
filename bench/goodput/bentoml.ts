// BentoML's CORK dispatcher, after bentoml/_internal/marshal/dispatcher.py of 1.4.40 (the same in 1.4.39), written anew on virtual time.
// Requests have no deadline there: `max_latency_ms` holds for all, and the queue sheds what it expects to be later than that.
import type { Bench, CreateScheduler, Request, Scheduler } from './replay.js'

export interface BentoMLConfig {
  readonly maxBatchSize: number
  readonly maxLatencyMs: number
}

interface Job {
  readonly request: Request
  readonly rows: number
  readonly enqueuedMs: number
  readonly parent: Parent
}

/** A request, of which jobs may have been split off; it is served when all of its rows were. */
interface Parent {
  rowsLeft: number
  isAnswered: boolean
}

const TICK_MS = 1
const DECAY = 0.95
const KEPT = 50
const SKIPPED = 2
const REFRESH_MS = 5000

/** `(n required, batches, batch size)` of train_optimizer, in the order in which the controller runs them. */
const TRAINING = [
  { required: SKIPPED, batches: SKIPPED + 6, size: 1 },
  { required: 6, batches: 1, size: 1 },
  { required: 5, batches: 1, size: 2 },
  { required: 3, batches: 1, size: 3 },
] as const

export function bentoMLWith(config: BentoMLConfig): CreateScheduler {
  return (bench) => new BentoML(bench, config)
}

/** Least squares of duration = a·n + b over the last batches, refreshed at most every five seconds. */
export class Optimizer {
  a: number
  b: number
  waitMs = 0
  readonly #stats: { readonly n: number; readonly durationMs: number; readonly waitMs: number }[] = []
  #seen = 0
  #tokens = 2
  #consumedMs: number

  constructor(maxLatencyMs: number, nowMs: number) {
    this.a = Math.min(2000, (maxLatencyMs * 2) / 30)
    this.b = Math.min(1000, maxLatencyMs / 30)
    this.#consumedMs = nowMs
  }

  log(n: number, waitMs: number, durationMs: number, nowMs: number): void {
    if (this.#seen <= SKIPPED + 4) {
      this.#seen++
      if (this.#seen <= SKIPPED) return
    }
    this.#stats.push({ n, durationMs, waitMs })
    if (this.#stats.length > KEPT) this.#stats.shift()
    const tokens = Math.min((nowMs - this.#consumedMs) / REFRESH_MS + this.#tokens, 1)
    if (tokens < 1) return
    this.#tokens = tokens - 1
    this.#consumedMs = nowMs
    this.refresh()
  }

  refresh(): void {
    const stats = this.#stats
    const count = stats.length
    if (count === 0) return
    let sumN = 0
    let sumD = 0
    let sumNN = 0
    let sumND = 0
    let sumWait = 0
    for (const { n, durationMs, waitMs } of stats) {
      sumN += n
      sumD += durationMs
      sumNN += n * n
      sumND += n * durationMs
      sumWait += waitMs
    }
    const determinant = count * sumNN - sumN * sumN
    let a: number
    let b: number
    if (determinant === 0) {
      // All batches alike: numpy's lstsq then takes the solution of least norm.
      const n = sumN / count
      b = sumD / count / (n * n + 1)
      a = b * n
    } else {
      a = (count * sumND - sumN * sumD) / determinant
      b = (sumD - a * sumN) / count
    }
    this.a = Math.max(0.001, a)
    this.b = Math.max(0, b)
    this.waitMs = sumWait / count
  }
}

class BentoML implements Scheduler {
  readonly #queue: Job[] = []
  readonly #optimizer: Optimizer
  #isRunning = false
  /** Whether the controller sleeps for a tick; otherwise it waits for the queue to fill. */
  #sleeps = false
  #stage = 0
  #stageBatches = 0
  /** Set when a stage of training begins. */
  #stageWaitMs: number | undefined

  constructor(
    private readonly bench: Bench,
    private readonly config: BentoMLConfig,
  ) {
    this.#optimizer = new Optimizer(config.maxLatencyMs, bench.clock.monotonicMs())
  }

  submit(request: Request): void {
    const { rows, arrivedMs } = request
    this.#queue.push({ request, rows, enqueuedMs: arrivedMs, parent: { rowsLeft: rows, isAnswered: false } })
    if (!this.#sleeps) this.#control()
  }

  /** The controller, until it sleeps or waits. */
  #control(): void {
    while (this.#queue.length > 0) {
      const isTraining = this.#stage < TRAINING.length
      if (isTraining ? this.#train() : this.#serve()) continue
      this.#sleeps = true
      this.bench.clock.after(TICK_MS, () => {
        this.#sleeps = false
        this.#control()
      })
      return
    }
  }

  /** One turn of train_optimizer; false to sleep. */
  #train(): boolean {
    const { required, batches, size } = TRAINING[this.#stage]!
    const { a, b } = this.#optimizer
    const trainedRows = Math.min(size, this.config.maxBatchSize)
    this.#stageWaitMs ??=
      trainedRows > 1 ? Math.min(this.config.maxLatencyMs * DECAY, (trainedRows * 2 + 1) * a + b) : 0
    const n = this.#queue.length
    const w0 = this.bench.clock.monotonicMs() - this.#queue[0]!.enqueuedMs
    if (n > required - this.#stageBatches && w0 >= this.config.maxLatencyMs) {
      this.#shed()
      return true
    }
    if (trainedRows > 1 && n < trainedRows && trainedRows * a + b + w0 <= this.#stageWaitMs) return false
    if (this.#isRunning) return false
    this.#dispatch(true)
    if (++this.#stageBatches === batches) {
      // The first stage only warms up.
      if (this.#stage > 0) this.#optimizer.refresh()
      this.#stage++
      this.#stageBatches = 0
      this.#stageWaitMs = undefined
    }
    return true
  }

  /** One turn of the controller's endless loop; false to sleep. */
  #serve(): boolean {
    const { maxBatchSize, maxLatencyMs } = this.config
    const { a, b, waitMs } = this.#optimizer
    const n = this.#queue.length
    const nowMs = this.bench.clock.monotonicMs()
    const w0 = nowMs - this.#queue[0]!.enqueuedMs
    const wn = nowMs - this.#queue[n - 1]!.enqueuedMs
    if (n > 1 && w0 + a * n + b >= maxLatencyMs) {
      this.#shed()
      return true
    }
    if (this.#isRunning) {
      if (n > 1 || w0 < maxLatencyMs) return false
      this.#shed()
      return true
    }
    if (n < maxBatchSize && n * (wn + TICK_MS + a) <= waitMs * DECAY) return false
    this.#dispatch(false)
    return true
  }

  #shed(): void {
    const { parent, request } = this.#queue.shift()!
    if (parent.isAnswered) return
    parent.isAnswered = true
    request.answer(false)
  }

  #dispatch(isTraining: boolean): void {
    const { maxBatchSize } = this.config
    const jobs: Job[] = []
    let rows = 0
    while (this.#queue.length > 0 && rows < maxBatchSize) {
      const job = this.#queue.shift()!
      const room = maxBatchSize - rows
      const taken = Math.min(job.rows, room)
      if (taken < job.rows) this.#queue.unshift({ ...job, rows: job.rows - taken })
      jobs.push({ ...job, rows: taken })
      rows += taken
    }
    this.#isRunning = true
    const startedMs = this.bench.clock.monotonicMs()
    this.bench.instance.run(rows, () => {
      const nowMs = this.bench.clock.monotonicMs()
      this.#isRunning = false
      const waitMs = isTraining ? 0 : startedMs - jobs[0]!.enqueuedMs
      this.#optimizer.log(jobs.length, waitMs, nowMs - startedMs, nowMs)
      for (const { parent, request, rows } of jobs) {
        parent.rowsLeft -= rows
        if (parent.rowsLeft > 0 || parent.isAnswered) continue
        parent.isAnswered = true
        request.answer(true)
      }
    })
  }
}
