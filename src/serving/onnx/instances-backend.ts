// Several sessions of one version, each on a thread of its own, used like one backend that takes as many runs at once. A thread that
// dies takes only its own run with it: the others go on, and its place is filled again in the background.
import type { Clock, HeadraceError, Logger, Timer } from '../../core/index.js'
import type { Signature, TensorMap } from '../../tensor/index.js'
import type { RunContext } from '../types.js'
import type { OnnxBackend, SessionBackend, WarmUpReport } from './backend.js'

export interface InstancesOptions {
  /** The version, as in `fraud/2`. */
  readonly model: string
  readonly instances: readonly SessionBackend[]
  /** Loads one more. */
  readonly loadOne: () => Promise<SessionBackend>
  readonly clock: Clock
  readonly logger: Logger
}

interface Place {
  /** Undefined while it is being filled again. */
  backend: SessionBackend | undefined
  running: number
}

const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 30_000

export class InstancesBackend implements OnnxBackend {
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly isolation = 'thread'
  readonly providers: readonly string[]
  readonly warmUp: WarmUpReport
  readonly notBatchedBecause: string | undefined
  readonly #options: InstancesOptions
  readonly #places: Place[]
  readonly #retries = new Set<Timer>()
  readonly #loading = new Set<Promise<void>>()
  #failure: HeadraceError | undefined
  #closing: Promise<void> | undefined

  constructor(options: InstancesOptions) {
    this.#options = options
    this.#places = options.instances.map((backend) => ({ backend, running: 0 }))
    const { signature, labels, warmUp, notBatchedBecause, providers } = options.instances[0]!
    this.signature = signature
    this.labels = labels
    this.providers = providers
    this.warmUp = warmUp
    this.notBatchedBecause = notBatchedBecause
  }

  /** Instances that are alive, and one when none is: its run says what is wrong. */
  get concurrency(): number {
    let alive = 0
    for (const { backend } of this.#places) if (backend !== undefined) alive++
    return Math.max(1, alive)
  }

  /** Set when no instance is left. */
  get failure(): HeadraceError | undefined {
    return this.#failure
  }

  async run(batch: TensorMap, context: RunContext): Promise<TensorMap> {
    let place: Place | undefined
    for (const other of this.#places)
      if (other.backend !== undefined && (place === undefined || other.running < place.running)) place = other
    if (place === undefined) throw this.#failure!
    place.running++
    try {
      return await place.backend!.run(batch, context)
    } finally {
      place.running--
    }
  }

  memoryBytes(): number {
    return this.#places.reduce((sum, { backend }) => sum + (backend?.memoryBytes() ?? 0), 0)
  }

  /** An instance's thread has died. Returns whether it was the last one; then nothing is filled again, and the version is loaded anew. */
  lost(instance: SessionBackend, error: HeadraceError): boolean {
    const place = this.#places.find(({ backend }) => backend === instance)
    if (place === undefined || this.#closing !== undefined) return false
    place.backend = undefined
    const { model, logger } = this.#options
    logger.error({ err: error }, `Model ${model} lost one of its ${this.#places.length} instances.`)
    void instance.close()
    if (this.#places.some(({ backend }) => backend !== undefined)) {
      this.#fill(place, FIRST_RETRY_MS)
      return false
    }
    this.#failure = error
    return true
  }

  #fill(place: Place, delayMs: number): void {
    const { clock, loadOne, logger, model } = this.#options
    const timer = clock.after(delayMs, () => {
      this.#retries.delete(timer)
      const loading = loadOne().then(
        async (backend) => {
          if (this.#closing !== undefined || this.#failure !== undefined) return backend.close()
          // Runs of the thread that died have ended by now.
          place.backend = backend
          logger.info({}, `Model ${model} has ${this.concurrency} instances again.`)
        },
        (error: unknown) => {
          if (this.#closing !== undefined || this.#failure !== undefined) return
          logger.warn({ err: error }, `Model ${model} could not load an instance again; it is tried further.`)
          this.#fill(place, Math.min(LONGEST_RETRY_MS, 2 * delayMs))
        },
      )
      this.#loading.add(loading)
      void loading.finally(() => this.#loading.delete(loading))
    })
    this.#retries.add(timer)
  }

  /** Runs and loads under way finish first. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const timer of this.#retries) timer.cancel()
    await Promise.all([...this.#places.map(({ backend }) => backend?.close()), ...this.#loading])
  }
}
