// Where versions come from: the models folder now; the registry and MLflow with their own issues.
import type { Stop, VersionRef } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'

export type SourceEvent =
  /** A complete version is there for the first time, or its files were replaced before anybody got them. */
  | { readonly kind: 'added'; readonly ref: VersionRef }
  | { readonly kind: 'removed'; readonly ref: VersionRef }
  /**
   * The files of a version that was already given out changed: versions are immutable, so they are refused, and what is loaded
   * goes on. `reason` is the message of REGISTRY_DIGEST_CHANGED.
   */
  | { readonly kind: 'changed'; readonly ref: VersionRef; readonly reason: string }

export interface ModelSource {
  /** Before the first `list`: gives versions that were copied just now the time to count as complete. */
  settle(): Promise<void>
  /** Complete versions, by model and number; while watched, those that were reported. */
  list(): Promise<VersionRef[]>
  /** Throws REGISTRY_VERSION_NOT_FOUND, REGISTRY_MANIFEST_INVALID, REGISTRY_DIGEST_CHANGED, REGISTRY_SOURCE_CHANGED. */
  get(ref: VersionRef): Promise<VersionArtifact>
  /** Reports what differs from what `list` last returned, and then every change. */
  watch(change: (event: SourceEvent) => void): Stop
}

/** A version that is there but not served, because it is not complete (yet). */
export interface PendingVersion {
  readonly ref: VersionRef
  readonly reason: string
}

export interface FolderSource extends ModelSource {
  /** Looks at the folder now rather than at the next change or poll. */
  refresh(): Promise<void>
  /** What the last look found and did not announce. */
  pending(): readonly PendingVersion[]
}
