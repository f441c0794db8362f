// What an app knows of features: the definitions, the reader of this process, and what may be asked of the process that owns the store.
import type { FeatureOperations, FeatureProject, FeatureReader } from '../../features/index.js'

export interface Features {
  readonly project: FeatureProject
  readonly reader: FeatureReader
  readonly operations: FeatureOperations
  /** Begins whatever runs by itself, in the process that owns the data folder; elsewhere nothing. */
  start(): Promise<void>
}
