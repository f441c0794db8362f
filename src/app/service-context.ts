// What a service of the process that owns the data folder is opened with.
import type { Fingerprint } from '../access/index.js'
import type { Platform } from '../core/index.js'
import type { Actor, Change, Decision, Decisions, Evidence } from '../decisions/index.js'
import type { FileLog } from '../log/index.js'
import type { RegisteredChanges } from '../registry/index.js'
import type { Blobs, Sql } from '../store/index.js'
import type { Engines, RegistryState } from './engines.js'
import type { LoadedProject } from './load-project.js'
import type { Services } from './services.js'

export interface ServiceContext {
  readonly project: LoadedProject
  readonly platform: Platform
  readonly sql: Sql
  readonly blobs: Blobs
  readonly log: FileLog
  readonly nodeId: string
  /** Digests of keys whose decisions are being made, by id: they belong in no decision. */
  readonly pendingKeys: Map<string, Fingerprint>
  /** Decisions about registered versions, and what is about to be registered. */
  readonly registeredChanges: RegisteredChanges
  readonly decisions: Omit<Decisions, 'apply' | 'applyAll' | 'undo'>
  /** The others: only for use inside operations, when all are open. */
  readonly services: Services
  registry(): RegistryState
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  undo: Engines['undo']
  follow: Engines['follow']
  storeConfirmedMs: Engines['storeConfirmedMs']
  report: Engines['report']
  /** Called when the engines close, last opened first, while the store is still open. */
  onClose(close: () => Promise<void>): void
}
