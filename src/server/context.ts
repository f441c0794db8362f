// What every handler is given.
import type { App } from '../app/index.js'
import type { Intake } from './intake.js'
import type { ParsePool } from './parse-pool.js'

export interface ServerContext {
  readonly app: App
  readonly parsePool: ParsePool
  readonly intake: Intake
  readonly bodyLimitBytes: number
  /** Aborted when the server starts to close: streams that would go on for ever end then. */
  readonly closing: AbortSignal
}
