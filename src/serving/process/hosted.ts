// A version in one process: whether it is there, its runs, and what it waits for when it is not.
import type { Clock } from '../../core/index.js'
import type { Deadline } from '../../flow/index.js'
import type { FrameTensor } from './frames.js'
import { Kind, type LoadedVersion, type LoadRequest } from './messages.js'
import type { ModelProcess } from './model-process.js'

/** The version will not be there in time. */
export class ProcessDown extends Error {
  override readonly name = 'ProcessDown'
  constructor(
    readonly reason: string,
    readonly retryAfterMs: number,
  ) {
    super(reason)
  }
}

/** A process that does not answer is not asked to end: it may have its run a little longer than the limit says. */
const GRACE_MS = 1000

/** The process that a version is in, as the version sees it. */
export interface Home {
  /** When it should be there again, on the monotonic clock; now when it is. */
  expectedUpMs(): number
  /** A version's share of what the process takes, bytes. */
  shareOf(hosted: Hosted): number
  /** Takes a version out; the last one ends the process. */
  release(hosted: Hosted): Promise<void>
  /** Ends the process as if it had crashed; false when there is none. */
  kill(cause: string): boolean
}

export class Hosted {
  readonly handle: number
  running = 0
  /** Runs that were under way at ends of the process. */
  lostRuns = 0
  /** Told when it is there again or no more. */
  onChange: () => void = () => undefined
  #process: ModelProcess | undefined
  #loaded: LoadedVersion | undefined
  #reason = ''
  #whenUp: (() => void)[] = []

  constructor(
    readonly place: Home,
    readonly request: LoadRequest,
    private readonly clock: Clock,
  ) {
    this.handle = request.handle
  }

  get isUp(): boolean {
    return this.#process !== undefined
  }

  /** It was there once. */
  get isLoaded(): boolean {
    return this.#loaded !== undefined
  }

  get loaded(): LoadedVersion {
    return this.#loaded!
  }

  /** Why it is not there. */
  get reason(): string {
    return this.#reason
  }

  up(process: ModelProcess, loaded: LoadedVersion): void {
    this.#process = process
    this.#loaded = loaded
    this.onChange()
    for (const go of this.#whenUp.splice(0)) go()
  }

  down(reason: string): void {
    this.#process = undefined
    this.#reason = reason
    this.lostRuns += this.running
    this.onChange()
  }

  /** Waits for the process when that can be there before the deadline. Rejects with ProcessEnded, ProcessDown or the backend's HeadraceError. */
  async run(
    head: Buffer,
    tensors: readonly FrameTensor[],
    deadline: Deadline,
    limitMs: number,
  ): Promise<readonly FrameTensor[]> {
    const process = this.#process ?? (await this.#whenThere(deadline))
    head.writeUInt32LE(this.handle, 0)
    this.running++
    const timer = this.clock.after(limitMs + GRACE_MS, () =>
      process.kill(`a run took longer than its limit of ${limitMs} ms`),
    )
    try {
      return (await process.request(Kind.RUN, head, tensors)).tensors
    } finally {
      this.running--
      timer.cancel()
    }
  }

  async #whenThere(deadline: Deadline): Promise<ModelProcess> {
    while (this.#process === undefined) {
      const leftMs = this.place.expectedUpMs() - this.clock.monotonicMs()
      if (leftMs > deadline.remainingMs()) throw new ProcessDown(this.#reason, Math.max(1, Math.ceil(leftMs)))
      let go = (): void => undefined
      const timer =
        deadline.atMs === Number.POSITIVE_INFINITY ? undefined : this.clock.after(deadline.remainingMs(), () => go())
      await new Promise<void>((resolve) => {
        go = resolve
        this.#whenUp.push(resolve)
      })
      timer?.cancel()
      if (deadline.hasPassed()) throw new ProcessDown(this.#reason, Math.max(1, Math.ceil(leftMs)))
    }
    return this.#process
  }
}
