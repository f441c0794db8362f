// A version in a thread whose runs hang: nobody can end a run in a thread without ending the server. The first one is waited for. A
// second one, or one that is still going after twice its limit, moves the version to a process of its own, which can be killed; the
// thread is left to its run, and frees what it has when that ever ends.
import { type Clock, type Logger, type Timer, versionKey } from '../../core/index.js'
import type { Signature, TensorMap, VersionArtifact } from '../../tensor/index.js'
import type { Backend, BackendFactory, BackendOptions, RunContext, RunsIn } from '../types.js'
import { createMoveMetrics, type MoveMetrics } from './metrics.js'

/** Hangs until a version moves. */
const HANGS = 2
const MOVING = 'its runs hang, and it is being moved to a process of its own'

/** Versions that `load` puts into threads move to where `loadElsewhere` puts them once their runs hang. */
export function movingHung(load: BackendFactory, loadElsewhere: BackendFactory): BackendFactory {
  let metrics: MoveMetrics | undefined
  return async (artifact, options) => {
    const backend = await load(artifact, options)
    if (backend.isolation !== 'thread') return backend
    metrics ??= createMoveMetrics(options.platform.metrics)
    return new MovableBackend(backend, artifact, options, loadElsewhere, metrics)
  }
}

interface ThreadRun {
  readonly startedMs: number
  /** How many times it has gone beyond its limit. */
  hangs: number
  readonly giveUp: (error: Error) => void
}

class MovableBackend implements Backend {
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly providers?: readonly string[]
  readonly #clock: Clock
  readonly #logger: Logger
  /** The longest under way first. */
  readonly #runs = new Set<ThreadRun>()
  /** One for all of them. */
  #watch: Timer | undefined
  #inner: Backend
  #hangs = 0
  #moving: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #listener: (reason: string | undefined) => void = () => undefined

  constructor(
    inner: Backend,
    private readonly artifact: VersionArtifact,
    private readonly options: BackendOptions,
    private readonly loadElsewhere: BackendFactory,
    private readonly metrics: MoveMetrics,
  ) {
    this.#inner = inner
    this.signature = inner.signature
    this.labels = inner.labels
    if (inner.providers !== undefined) this.providers = inner.providers
    this.#clock = options.platform.clock
    this.#logger = options.platform.logger
    inner.onHealth?.((reason) => this.#listener(reason))
  }

  get isolation(): RunsIn {
    return this.#inner.isolation
  }

  get concurrency(): number {
    return this.#inner.concurrency
  }

  get refusal(): string | undefined {
    return this.#moving === undefined ? this.#inner.refusal : MOVING
  }

  onHealth(listener: (reason: string | undefined) => void): void {
    this.#listener = listener
  }

  run(batch: TensorMap, context: RunContext): Promise<TensorMap> {
    const inner = this.#inner
    if (inner.isolation !== 'thread') return inner.run(batch, context)
    return new Promise((resolve, reject) => {
      const run: ThreadRun = { startedMs: this.#clock.monotonicMs(), hangs: 0, giveUp: reject }
      this.#runs.add(run)
      this.#watchIn(this.artifact.manifest.timeoutMs)
      inner.run(batch, context).then(
        (outputs) => {
          this.#runs.delete(run)
          resolve(outputs)
        },
        (error: unknown) => {
          this.#runs.delete(run)
          reject(error)
        },
      )
    })
  }

  memoryBytes(): number {
    return this.#inner.memoryBytes()
  }

  close(): Promise<void> {
    this.#closing ??= (this.#moving ?? Promise.resolve()).then(() => this.#inner.close())
    return this.#closing
  }

  readonly #look = (): void => {
    const { timeoutMs } = this.artifact.manifest
    const nowMs = this.#clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const run of this.#runs) {
      const hangs = Math.min(HANGS, Math.floor((nowMs - run.startedMs) / timeoutMs))
      this.#hangs += hangs - run.hangs
      run.hangs = hangs
      if (hangs < HANGS) nextMs = Math.min(nextMs, run.startedMs + (hangs + 1) * timeoutMs)
    }
    this.#watch = undefined
    if (this.#inner.isolation !== 'thread') this.#giveUpHung()
    else if (this.#hangs >= HANGS && this.#isToMove()) this.#moving = this.#move()
    if (nextMs < Number.POSITIVE_INFINITY) this.#watchIn(Math.max(1, nextMs - nowMs))
  }

  #watchIn(ms: number): void {
    this.#watch ??= this.#clock.after(ms, this.#look)
  }

  #isToMove(): boolean {
    return this.#moving === undefined && this.#closing === undefined && this.#inner.isolation === 'thread'
  }

  async #move(): Promise<void> {
    const { ref, manifest } = this.artifact
    const model = versionKey(ref)
    this.#logger.error({ ...ref }, 'the runs of a version hang; it is moved to a process of its own')
    this.#listener(MOVING)
    try {
      const group = `${model} (moved)`
      const moved = await this.loadElsewhere(
        { ...this.artifact, manifest: { ...manifest, isolation: 'process', group } },
        this.options,
      )
      this.#leave(moved)
    } catch (error) {
      this.#logger.error({ err: error, ...ref }, 'a version whose runs hang could not be moved to a process')
      // Tried again, also when every slot hangs and so nothing new can.
      this.#hangs = 0
      for (const run of this.#runs) run.hangs = 0
      this.#watchIn(manifest.timeoutMs)
    }
    this.#moving = undefined
    this.#listener(this.#inner.refusal)
  }

  #leave(moved: Backend): void {
    const left = this.#inner
    this.#inner = moved
    moved.onHealth?.((reason) => this.#listener(reason))
    this.metrics.moved(this.artifact.ref)
    this.#giveUpHung()
    const ended = this.metrics.leftBehind()
    // Frees its session when its last run ends, if that ever happens.
    left.close().then(ended, ended)
  }

  /** Those of the thread that was left. What is within its limit still ends there. */
  #giveUpHung(): void {
    for (const run of this.#runs) {
      if (run.hangs === 0) continue
      this.#runs.delete(run)
      run.giveUp(new Error('its version has moved to a process'))
    }
  }
}
