// One place of a group: a process with the group's versions, started with the first of them, started again with all of them when it
// ends, and ended with the last. Starting again waits longer and longer for a process that cannot stay.
import type { Platform, Timer } from '../../core/index.js'
import { Backoff } from './backoff.js'
import { type Home, Hosted } from './hosted.js'
import { Kind, type LoadedVersion, type LoadRequest, type ProcessOnnxOptions } from './messages.js'
import { ModelProcess, ProcessEnded } from './model-process.js'

export interface PlaceOptions {
  readonly group: string
  readonly platform: Platform
  readonly onnx: ProcessOnnxOptions
  readonly program: URL | undefined
  readonly loadTimeoutMs: number
  /** What is known of the process has changed: whether it is there, or its memory. */
  readonly onChange: () => void
  readonly onRestart: () => void
  /** No version is left. */
  readonly onEmpty: () => void
}

export class Place implements Home {
  readonly group: string
  rssBytes = 0
  readonly #options: PlaceOptions
  readonly #backoff: Backoff
  readonly #hosted = new Map<number, Hosted>()
  #process: ModelProcess | undefined
  #lastHandle = 0
  readonly #whenStarted: { resolve(process: ModelProcess): void; reject(error: Error): void }[] = []
  /** While nothing runs: when the next process starts, and what ended the last one. */
  #restart: Timer | undefined
  #restartAtMs = 0
  #startedMs = 0
  /** From the start of a process to the last of its versions, as it was when that was seen last. */
  #readyAfterMs = 1000
  #isClosed = false

  constructor(options: PlaceOptions) {
    this.group = options.group
    this.#options = options
    this.#backoff = new Backoff(options.platform.random)
  }

  /** The process is there, with every version that was. */
  get isUp(): boolean {
    if (this.#process === undefined) return false
    for (const hosted of this.#hosted.values()) if (hosted.isLoaded && !hosted.isUp) return false
    return true
  }

  /** Loads a version in this place's process. Rejects with ProcessEnded or the HeadraceError of its backend. */
  async load(request: Omit<LoadRequest, 'handle'>): Promise<Hosted> {
    const handle = ++this.#lastHandle
    const hosted = new Hosted(this, { ...request, handle }, this.#options.platform.clock)
    this.#hosted.set(handle, hosted)
    try {
      await this.#loadFirst(hosted)
      return hosted
    } catch (error) {
      this.#leave(hosted)
      throw error
    }
  }

  /** Frees what a version has; its runs are over. */
  async release(hosted: Hosted): Promise<void> {
    const process = this.#process
    const isLast = this.#leave(hosted)
    // A process that ends gives everything back at once.
    if (isLast) await process?.close()
    else if (process !== undefined && hosted.isUp)
      await process.ask(Kind.RELEASE, { handle: hosted.handle }).catch(() => undefined)
  }

  /** Ends the process as if it had crashed. */
  kill(cause: string): boolean {
    if (this.#process === undefined) return false
    this.#process.kill(cause)
    return true
  }

  /** A version's share of the process's resident memory, by how much each of them made it grow. */
  shareOf(hosted: Hosted): number {
    let allGrown = 0
    for (const other of this.#hosted.values()) if (other.isLoaded) allGrown += Math.max(1, other.loaded.grownBytes)
    return Math.round((this.rssBytes * Math.max(1, hosted.loaded.grownBytes)) / Math.max(1, allGrown))
  }

  /** When a version that is down should be there again. */
  expectedUpMs(): number {
    const fromMs = this.#restart === undefined ? this.#startedMs : this.#restartAtMs
    return fromMs + this.#readyAfterMs
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#restart?.cancel()
    for (const { reject } of this.#whenStarted.splice(0)) reject(new ProcessEnded('the server closes'))
    const process = this.#process
    this.#process = undefined
    await process?.close()
  }

  /** Whether it was the last version. */
  #leave(hosted: Hosted): boolean {
    if (!this.#hosted.delete(hosted.handle) || this.#hosted.size > 0) return false
    this.#restart?.cancel()
    this.#restart = undefined
    const process = this.#process
    this.#process = undefined
    this.rssBytes = 0
    this.#isClosed = true
    this.#options.onEmpty()
    void process?.close()
    return true
  }

  #start(): ModelProcess {
    const { platform, group, onnx, program } = this.#options
    const { clock, logger } = platform
    this.#restart?.cancel()
    this.#restart = undefined
    this.#startedMs = clock.monotonicMs()
    const process = new ModelProcess({
      clock,
      logger,
      start: { group, niceness: 0, onnx },
      program,
      onMemory: (rssBytes) => {
        this.rssBytes = rssBytes
        this.#options.onChange()
      },
      onEnd: (ended, reason) => this.#ended(ended, reason),
    })
    this.#process = process
    for (const { resolve } of this.#whenStarted.splice(0)) resolve(process)
    logger.info({ group, process: process.pid }, 'a process with models was started')
    this.#options.onChange()
    return process
  }

  /** An end of the process meanwhile may be another version's doing: then it is tried once more. */
  async #loadFirst(hosted: Hosted): Promise<void> {
    try {
      await this.#loadInto(await this.#processThere(), hosted)
    } catch (error) {
      if (!(error instanceof ProcessEnded) || this.#isClosed) throw error
      await this.#loadInto(await this.#processThere(), hosted)
    }
  }

  /** Starts one unless it is being waited for. */
  #processThere(): ModelProcess | Promise<ModelProcess> {
    if (this.#process !== undefined) return this.#process
    if (this.#restart === undefined) return this.#start()
    return new Promise((resolve, reject) => this.#whenStarted.push({ resolve, reject }))
  }

  async #loadInto(process: ModelProcess, hosted: Hosted): Promise<void> {
    const { platform, loadTimeoutMs } = this.#options
    const timer = platform.clock.after(loadTimeoutMs, () => process.kill(`a load took longer than ${loadTimeoutMs} ms`))
    try {
      await process.up
      const loaded = await process.ask<LoadedVersion>(Kind.LOAD, hosted.request)
      this.rssBytes = loaded.rssBytes
      if (this.#hosted.size === 1) this.#readyAfterMs = platform.clock.monotonicMs() - this.#startedMs
      if (this.#hosted.has(hosted.handle)) hosted.up(process, loaded)
      // It was released meanwhile.
      else await process.ask(Kind.RELEASE, { handle: hosted.handle })
      this.#options.onChange()
    } finally {
      timer.cancel()
    }
  }

  #ended(ended: ModelProcess, reason: string): void {
    if (ended !== this.#process) return
    const { platform, group } = this.#options
    const { clock, logger } = platform
    const nowMs = clock.monotonicMs()
    const pauseMs = this.#backoff.nextMs(nowMs - this.#startedMs)
    this.#process = undefined
    this.rssBytes = 0
    logger.error({ group, process: ended.pid, reason, pauseMs }, 'a process with models ended; another takes its place')
    if (this.#isClosed) return
    this.#restartAtMs = nowMs + pauseMs
    this.#restart = clock.after(pauseMs, () => this.#startAgain())
    for (const hosted of this.#hosted.values()) hosted.down(reason)
    this.#options.onChange()
  }

  /** With every version that was there; those whose run it was that ended the last process come last. */
  #startAgain(): void {
    this.#restart = undefined
    this.#options.onRestart()
    const process = this.#start()
    void this.#loadAgain(process)
  }

  async #loadAgain(process: ModelProcess): Promise<void> {
    const { platform, group } = this.#options
    let failed: unknown
    const waiting = [...this.#hosted.values()].filter(({ isLoaded }) => isLoaded)
    waiting.sort((a, b) => a.lostRuns - b.lostRuns)
    for (const hosted of waiting) {
      if (hosted.isUp || !this.#hosted.has(hosted.handle)) continue
      try {
        await this.#loadInto(process, hosted)
      } catch (error) {
        if (error instanceof ProcessEnded || process !== this.#process) return
        failed = error
        hosted.down(error instanceof Error ? error.message : String(error))
        platform.logger.error(
          { err: error, group, ...hosted.request.artifact.ref },
          'a version could not be loaded again',
        )
      }
    }
    this.#readyAfterMs = platform.clock.monotonicMs() - this.#startedMs
    if (failed === undefined) return
    // The others of the group are served meanwhile.
    platform.clock.after(this.#backoff.nextMs(0), () => {
      if (process === this.#process) void this.#loadAgain(process)
    })
  }
}
