// A version that another server runs. Rows are joined as for any model, because one request of 32 rows costs both sides far less than
// 32 of one; but with many requests allowed in flight a slot is nearly always free, so no call waits for company here: what else can
// share a run is gathered by the server's own batcher.
import type { Clock, Ids, Random } from '../../core/index.js'
import type { RetryBudget } from '../../flow/index.js'
import { concatenateRows, type Signature, sliceRows, type Tensor, type TensorMap } from '../../tensor/index.js'
import { ServingErrors } from '../errors.js'
import type { Backend, RunContext } from '../types.js'
import { RemoteErrors } from './errors.js'
import { type Failures, RemoteFailure } from './failure.js'
import type { RemoteMetrics } from './metrics.js'
import { descriptionDifference } from './signature.js'
import type { RemoteDescription, Transport, Try } from './transport.js'
import { Watch } from './watch.js'

/** A connection or two with their buffers; the model's memory is the other server's. */
const MEMORY_BYTES = 64 * 1024
const MAX_RETRIES = 2
const RETRY_MS = 20
/** Of one look. */
const LOOK_LIMIT_MS = 5000

export interface RemoteBackendOptions {
  /** The version, as in `resnet/1`. */
  readonly model: string
  readonly signature: Signature
  readonly description: RemoteDescription
  readonly maxInFlight: number
  /** Rows in one request; undefined: any. */
  readonly maxRows: number | undefined
  /** Limit of one try; undefined: what is left until the deadline. */
  readonly timeoutMs: number | undefined
  readonly probeMs: number
  readonly transport: Transport
  readonly failures: Failures
  readonly budget: RetryBudget
  readonly metrics: RemoteMetrics
  readonly clock: Clock
  readonly random: Random
  readonly ids: Ids
}

/** A run under way. */
interface Flight {
  readonly context: RunContext
  readonly tries: Set<Try>
  isGivenUp: boolean
  /** Ends the pauses before retries. */
  readonly wakes: Set<() => void>
}

export class RemoteBackend implements Backend {
  readonly signature: Signature
  readonly concurrency: number
  readonly labels = undefined
  readonly isolation = 'remote'
  readonly #options: RemoteBackendOptions
  readonly #outputs: readonly string[]
  readonly #watch: Watch
  readonly #flights = new Set<Flight>()
  #tell: (reason: string | undefined) => void = () => {}
  #whenIdle: (() => void) | undefined
  #closing: Promise<void> | undefined

  constructor(options: RemoteBackendOptions) {
    const { signature, maxInFlight, clock, random, probeMs } = options
    this.#options = options
    this.signature = signature
    this.concurrency = maxInFlight
    this.#outputs = signature.outputs.map(({ name }) => name)
    this.#watch = new Watch({
      clock,
      random,
      everyMs: probeMs,
      look: (isThorough) => this.#look(isThorough),
      tell: (reason) => this.#tell(reason && `its server ${options.failures.server} ${reason}`),
    })
  }

  async run(batch: TensorMap, context: RunContext): Promise<TensorMap> {
    const { model, maxRows, failures } = this.#options
    if (this.#closing) throw RemoteErrors.CLOSED({ model })
    const { reason } = this.#watch
    if (reason !== undefined) throw failures.waiting(reason, this.#watch.retryAfterMs)
    const flight: Flight = { context, tries: new Set(), isGivenUp: false, wakes: new Set() }
    this.#flights.add(flight)
    try {
      const rows = this.signature.batchAxis === 0 ? firstOf(batch).shape[0]! : 1
      if (maxRows === undefined || rows <= maxRows) return await this.#ask(batch, flight)
      return await this.#askInParts(batch, rows, maxRows, flight)
    } catch (error) {
      if (flight.isGivenUp) throw ServingErrors.CANCELLED({ model })
      throw error instanceof RemoteFailure ? error.error : error
    } finally {
      this.#flights.delete(flight)
      if (this.#flights.size === 0) this.#whenIdle?.()
    }
  }

  abandon(context: RunContext): void {
    for (const flight of this.#flights) if (flight.context === context) giveUp(flight)
  }

  onHealth(listener: (reason: string | undefined) => void): void {
    this.#tell = listener
  }

  memoryBytes(): number {
    return MEMORY_BYTES
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#watch.close()
    if (this.#flights.size > 0)
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    this.#options.transport.close()
    this.#options.metrics.forget()
  }

  /** More rows than the server takes at once go as several requests at once. */
  async #askInParts(batch: TensorMap, rows: number, maxRows: number, flight: Flight): Promise<TensorMap> {
    const parts: Promise<TensorMap>[] = []
    for (let start = 0; start < rows; start += maxRows) {
      const part = new Map<string, Tensor>()
      for (const [name, tensor] of batch) part.set(name, sliceRows(tensor, start, Math.min(maxRows, rows - start)))
      parts.push(this.#ask(part, flight))
    }
    let answers: TensorMap[]
    try {
      answers = await Promise.all(parts)
    } catch (error) {
      // The others are for nobody.
      endTries(flight)
      await Promise.allSettled(parts)
      throw error
    }
    const joined = new Map<string, Tensor>()
    for (const [name, first] of answers[0]!) {
      const pieces = answers.map((answer) => answer.get(name)!)
      const sizes = pieces.map(({ shape }) => shape.slice(1).join())
      if (sizes.some((size) => size !== sizes[0]) || first.shape.length === 0)
        throw this.#options.failures.invalid(`parts of one request gave output "${name}" of different shapes`)
      joined.set(name, concatenateRows(pieces))
    }
    return joined
  }

  /** One request, tried again where that may help, is harmless, and neither deadline nor budget forbids it. */
  async #ask(batch: TensorMap, flight: Flight): Promise<TensorMap> {
    const { budget, metrics, clock, random } = this.#options
    budget.deposit()
    for (let retries = 0; ; retries++) {
      const startedMs = clock.monotonicMs()
      try {
        const answer = await this.#try(batch, flight)
        metrics.ended('ok').inc()
        return answer
      } catch (failure) {
        if (!(failure instanceof RemoteFailure)) throw failure
        metrics.ended(failure.error.code).inc()
        if (failure.isSuspicious && !flight.isGivenUp) this.#watch.suspect()
        if (!failure.mayRetry || retries === MAX_RETRIES || flight.isGivenUp) throw failure
        const pauseMs = failure.retryAfterMs ?? RETRY_MS * 2 ** retries * (0.5 + random.next())
        if (pauseMs >= flight.context.deadline.remainingMs() || !budget.take()) throw failure
        await this.#pause(pauseMs, flight)
        if (flight.isGivenUp) throw failure
        metrics.retries.inc()
      } finally {
        metrics.seconds.observe((clock.monotonicMs() - startedMs) / 1000)
      }
    }
  }

  async #try(batch: TensorMap, flight: Flight): Promise<TensorMap> {
    const { transport, failures, ids, timeoutMs = Number.POSITIVE_INFINITY } = this.#options
    const { deadline, outputs = this.#outputs } = flight.context
    const limitMs = Math.min(deadline.remainingMs(), timeoutMs)
    if (limitMs <= 0) throw failures.timeout(0)
    const attempt = transport.infer({ id: ids.next(), inputs: batch, outputs, limitMs })
    flight.tries.add(attempt)
    try {
      return await attempt.answer
    } finally {
      flight.tries.delete(attempt)
    }
  }

  #pause(ms: number, flight: Flight): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel()
        flight.wakes.delete(wake)
        resolve()
      }
      const timer = this.#options.clock.after(ms, wake)
      flight.wakes.add(wake)
    })
  }

  async #look(isThorough: boolean): Promise<void> {
    const { transport, description, failures } = this.#options
    await transport.ready(LOOK_LIMIT_MS)
    if (!isThorough) return
    const difference = descriptionDifference(description, await transport.describe(LOOK_LIMIT_MS))
    if (difference !== undefined)
      throw failures.unready(`the model there is another one by now: ${difference}; publish it as a new version`)
  }
}

function giveUp(flight: Flight): void {
  flight.isGivenUp = true
  endTries(flight)
  for (const wake of [...flight.wakes]) wake()
}

function endTries(flight: Flight): void {
  for (const attempt of flight.tries) attempt.cancel()
}

function firstOf(batch: TensorMap): Tensor {
  return batch.values().next().value!
}
