// The errors that calls of one version end with.
import { HeadraceError, type VersionRef } from '../core/index.js'
import { ServingErrors } from './errors.js'

/** What a caller is told to wait when nothing has been measured yet. */
const RETRY_AFTER_MS = 1000
const LONGEST_RETRY_AFTER_MS = 60_000

/** When to come back, from a measured time; `RETRY_AFTER_MS` when there is none. */
export function retryAfter(ms: number | undefined): number {
  return ms === undefined ? RETRY_AFTER_MS : Math.min(LONGEST_RETRY_AFTER_MS, Math.max(1, Math.ceil(ms)))
}

export class VersionErrors {
  constructor(readonly version: VersionRef) {}

  unready(reason: string): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.MODEL_UNREADY({ model, version, reason, retryAfterMs: RETRY_AFTER_MS })
  }

  cancelled(): HeadraceError {
    return ServingErrors.CANCELLED({ model: this.version.model })
  }

  deadlineExceeded(waitedMs: number, phase: 'queued' | 'running' | 'loading'): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.DEADLINE_EXCEEDED({ model, version, waitedMs: Math.round(waitedMs), phase })
  }

  overloaded(expectedMs: number, leftMs: number): HeadraceError {
    return ServingErrors.OVERLOADED({
      model: this.version.model,
      expectedMs: Math.ceil(expectedMs),
      leftMs: Math.floor(leftMs),
      retryAfterMs: retryAfter(expectedMs - leftMs),
    })
  }

  queueFull(rows: number, waitingRows: number, maxQueueRows: number, retryAfterMs: number): HeadraceError {
    return ServingErrors.QUEUE_FULL({ model: this.version.model, rows, waitingRows, maxQueueRows, retryAfterMs })
  }

  displaced(retryAfterMs: number): HeadraceError {
    return ServingErrors.DISPLACED({ model: this.version.model, retryAfterMs })
  }

  runTimeout(timeoutMs: number, rows: number): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.RUN_TIMEOUT({ model, version, timeoutMs, rows })
  }

  outputMismatch(output: string, detail: string): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.OUTPUT_MISMATCH({ model, version, output, detail })
  }

  /** The reason itself when it is an error of ours. */
  runFailed(reason: unknown): HeadraceError {
    if (reason instanceof HeadraceError) return reason
    const { model, version } = this.version
    const detail = reason instanceof Error ? reason.message : String(reason)
    return ServingErrors.RUN_FAILED({ model, version, detail }, reason)
  }
}
