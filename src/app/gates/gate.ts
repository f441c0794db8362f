// A gate is one file beside its siblings: what it looks at, and what it finds. `gates.ts` lists them in the order they run.
import type { EndpointName, VersionRef } from '../../core/index.js'
import type { Actor } from '../../decisions/index.js'
import type { GateSettings, GateVerdict } from '../../release/index.js'
import type { ServedVersion } from '../../serving/index.js'
import type { App } from '../app.js'

export interface Gate {
  readonly name: string
  /** Later gates need what this one finds out: when it fails they are skipped. */
  readonly isNeeded: boolean
  /** What it throws counts as failed, but for GATE_CANCELLED. */
  check(candidate: Candidate): Promise<readonly Finding[]>
}

export interface Finding {
  /** Default: the gate's name. */
  readonly gate?: string
  readonly verdict: GateVerdict
  readonly summary: string
  readonly evidence?: Readonly<Record<string, unknown>>
}

/** A version on its way to an endpoint. */
export interface Candidate {
  readonly app: App
  readonly ref: VersionRef
  readonly endpoint: EndpointName
  /** Undefined: the configuration names no gates for it. */
  readonly settings: GateSettings | undefined
  /** What serves the endpoint by this model now; undefined when nothing does, or the candidate itself does. */
  readonly champion: ServedVersion | undefined
  /** Why there is no champion. */
  readonly noChampion: string
  /** Who starts the release, if known: for four eyes. */
  readonly startedBy: Actor | undefined
  readonly signal: AbortSignal
  progress(step: string, done: number, total: number): void
  /** Set by the first gate. */
  served: ServedVersion | undefined
}
