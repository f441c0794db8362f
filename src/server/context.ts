// What every handler is given.
import type { App } from '../app/index.js'
import type { ParsePool } from './parse-pool.js'

export interface ServerContext {
  readonly app: App
  readonly parsePool: ParsePool
  readonly bodyLimitBytes: number
}
