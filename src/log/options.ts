// What `openLog` takes.
import type { Platform } from '../core/index.js'
import type { LogConfig } from './config.js'
import type { LogFiles } from './files.js'
import type { LogPolicy } from './types.js'

export interface LogOptions extends Partial<LogConfig> {
  /** Made when it is missing. One process at a time may have it open: the caller holds the lock. */
  readonly folder: string
  readonly platform: Platform
  /** An endpoint's policy; asked again for each payload and each retention pass. Default: keep everything 30 days. */
  readonly policy?: (endpoint: string) => LogPolicy
  /** File operations, replaced by tests; default the real ones. */
  readonly files?: LogFiles
}

export const DEFAULT_POLICY: LogPolicy = {
  payloadSample: 1,
  redact: [],
  retentionDays: 30,
  payloadRetentionDays: undefined,
}
