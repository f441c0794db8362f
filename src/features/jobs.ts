// Long work that a request starts and others follow: progress, result, cancelling. Jobs live as long as the process; what a training set or a
// materialisation keeps to go on later is theirs.
import { type HeadraceError, type Platform, toHeadraceError } from '../core/index.js'
import { FeatureErrors } from './errors.js'
import type { JobView } from './operations.js'

export interface JobControl {
  readonly signal: AbortSignal
  progress(step: string, done: number, total: number): void
}

interface Job {
  view: JobView
  readonly abort: AbortController
  readonly ended: Promise<void>
}

const KEPT = 100
const MAX_RUNNING = 8

export class Jobs {
  readonly #jobs = new Map<string, Job>()

  constructor(private readonly platform: Platform) {}

  /** Throws FEATURE_JOBS_TOO_MANY. */
  start(kind: JobView['kind'], of: string, work: (control: JobControl) => Promise<unknown>): JobView {
    const running = [...this.#jobs.values()].filter(({ view }) => view.state === 'running').length
    if (running >= MAX_RUNNING) throw FeatureErrors.JOBS_TOO_MANY({ running, retryAfterMs: 1000 })
    const { clock, ids } = this.platform
    const abort = new AbortController()
    const id = ids.next()
    const control: JobControl = {
      signal: abort.signal,
      progress: (step, done, total) => {
        job.view = { ...job.view, progress: { step, done, total } }
      },
    }
    const view: JobView = {
      id,
      kind,
      of,
      state: 'running',
      progress: null,
      startedMs: clock.nowMs(),
      endedMs: null,
      result: null,
      error: null,
    }
    const run = async () => {
      // The caller gets the job as it was started, also when it fails at once.
      await undefined
      try {
        const result = await work(control)
        job.view = { ...job.view, state: 'done', result, endedMs: clock.nowMs() }
      } catch (thrown) {
        const error = abort.signal.aborted ? FeatureErrors.JOB_CANCELLED({ kind }) : toHeadraceError(thrown)
        const state = abort.signal.aborted ? 'cancelled' : 'failed'
        job.view = { ...job.view, state, error: plainError(error), endedMs: clock.nowMs() }
        if (state === 'failed')
          this.platform.logger[error.level]({ job: id, kind, of, err: error }, 'a feature job failed')
      }
    }
    const job: Job = { view, abort, ended: run() }
    this.#jobs.set(id, job)
    this.#forget()
    return job.view
  }

  /** The newest first. */
  list(): JobView[] {
    return [...this.#jobs.values()].map(({ view }) => view).reverse()
  }

  /** Throws FEATURE_JOB_UNKNOWN. */
  get(id: string): JobView {
    return this.#find(id).view
  }

  /** Resolves when it has ended. */
  async cancel(id: string): Promise<JobView> {
    const job = this.#find(id)
    job.abort.abort()
    await job.ended
    return job.view
  }

  /** Cancels what runs and waits for it. */
  async close(): Promise<void> {
    for (const { abort } of this.#jobs.values()) abort.abort()
    await Promise.all([...this.#jobs.values()].map(({ ended }) => ended))
  }

  #find(id: string): Job {
    const job = this.#jobs.get(id)
    if (job === undefined) throw FeatureErrors.JOB_UNKNOWN({ id })
    return job
  }

  #forget(): void {
    for (const [id, { view }] of this.#jobs) {
      if (this.#jobs.size <= KEPT) return
      if (view.state !== 'running') this.#jobs.delete(id)
    }
  }
}

/** Causes may be anything; what is told crosses processes. */
function plainError(error: HeadraceError): JobView['error'] {
  const { code, message, status, retry, level } = error
  return { code, message, status, retry, level, params: {} }
}
