// A version and all that belongs to it, for as long as the server knows it: loaded, at rest, or failed.
import { type Clock, type HeadraceError, type VersionRef, versionKey } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { callerSignature } from '../padding.js'
import type { Backend, PooledLeaf, ServedVersion, VersionDescription, VersionState, VersionStatus } from '../types.js'
import type { Group } from './budget.js'
import type { Loadable } from './loads.js'
import type { Resident } from './room.js'
import { Use } from './use.js'
import type { Running, WakingLeaf } from './waking-leaf.js'

export interface EntryOptions {
  readonly artifact: VersionArtifact
  readonly clock: Clock
  readonly group: Group
  readonly isPinned: boolean
  /** It is loaded when somebody asks for it. */
  readonly isLazy: boolean
  /** It may be the latest before it was ever loaded. */
  readonly isCandidate: boolean
}

/** A model file in memory takes more than on disk: its weights, and what the runtime makes of them. */
const MEMORY_PER_FILE_BYTE = 2
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

export class Entry implements Loadable, Resident {
  readonly ref: VersionRef
  readonly artifact: VersionArtifact
  readonly group: Group
  readonly isPinned: boolean
  readonly use: Use
  readonly isLazy: boolean
  isCandidate: boolean
  state: VersionState = 'resting'
  reason: string | undefined
  error: HeadraceError | undefined
  /** It was loaded and warm at least once since the server started. */
  hasLoaded = false
  /** It is being loaded out of its rest: its callers wait for it. */
  isWaking = false
  description: VersionDescription | undefined
  /** Behind its answers' cache, if there is one. */
  front!: PooledLeaf
  leaf!: WakingLeaf
  served: ServedVersion | undefined
  backend: Backend | undefined
  running: Running | undefined
  chargedBytes = 0
  staysUntilMs = 0
  /** Beside the calls that wait, those who want it described. */
  wakers = 0
  loading: Promise<void> | undefined
  /** Its backend is being closed. */
  leaving: Promise<void> | undefined
  /** Settled when a load or unload under way is over; it never rejects. */
  work: Promise<unknown> = Promise.resolve()
  #failures = 0
  #retryAtMs = 0

  constructor({ artifact, clock, group, isPinned, isLazy, isCandidate }: EntryOptions) {
    this.ref = artifact.ref
    this.artifact = artifact
    this.group = group
    this.isPinned = isPinned
    this.isLazy = isLazy
    this.isCandidate = isCandidate
    this.use = new Use(clock.monotonicMs())
  }

  /** What it takes when it is loaded, as far as anybody knows. */
  get bytes(): number {
    return this.description?.memoryBytes ?? MEMORY_PER_FILE_BYTE * this.artifact.sizeBytes
  }

  get isBusy(): boolean {
    return this.leaf.isBusy
  }

  /** It runs elsewhere, or is made of other versions, for which it waits. */
  get isLight(): boolean {
    return this.artifact.backend === 'remote' || this.artifact.backend === 'pipeline'
  }

  get isWanted(): boolean {
    return this.wakers > 0 || this.leaf.isWanted
  }

  /** Its leaf answers, refuses for itself, or wakes it. */
  get isCallable(): boolean {
    if (this.served === undefined) return false
    return this.state === 'ready' || this.state === 'unready' || this.isAtRest
  }

  get isAtRest(): boolean {
    return this.state === 'resting' || (this.state === 'loading' && this.isWaking)
  }

  /** Somebody who asks for it has to wait for its load first. */
  isAsleep(nowMs: number): boolean {
    if (this.state === 'failed') return this.mayRetry && nowMs >= this.#retryAtMs
    return this.served === undefined && this.isAtRest
  }

  /** A version that never loaded and was to be there from the start stays failed until somebody loads it. */
  get mayRetry(): boolean {
    return this.isLazy || this.hasLoaded
  }

  retryInMs(nowMs: number): number {
    return this.state === 'failed' ? Math.max(0, this.#retryAtMs - nowMs) : 0
  }

  loadFailed(nowMs: number): void {
    this.#retryAtMs = nowMs + Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures)
    this.#failures++
  }

  loadSucceeded(): void {
    this.#failures = 0
    this.hasLoaded = true
    this.isCandidate = true
  }

  /** What it is to callers; the same object as before unless something of it is different. */
  describe(description: VersionDescription): void {
    const before = this.description
    this.description = description
    if (this.served !== undefined && before !== undefined && saysTheSame(before, description)) return
    const { ref, artifact } = this
    const { manifest } = artifact
    this.served = {
      ref,
      key: versionKey(ref),
      digest: artifact.digest,
      kind: artifact.backend,
      signature: callerSignature(ref.model, manifest.batching, description.signature),
      manifest,
      labels: manifest.labels ?? description.labels,
      isolation: description.isolation,
      providers: description.providers,
      leaf: this.front,
    }
  }

  status(): VersionStatus {
    const { ref, state, reason, error } = this
    return { ref, state, reason, error }
  }
}

function saysTheSame(a: VersionDescription, b: VersionDescription): boolean {
  const said = ({ signature, labels, isolation, providers }: VersionDescription) =>
    JSON.stringify([signature, labels, isolation, providers])
  return said(a) === said(b)
}
