import type { Platform } from '../core/index.js'
import type { FolderSource } from './types.js'

export interface FolderSourceOptions {
  readonly folder: string
  readonly platform: Platform
  /** Default 500. */
  readonly settleMs?: number
  /** Default 2,000. */
  readonly pollMs?: number
}
export declare function createFolderSource(options: FolderSourceOptions): FolderSource
