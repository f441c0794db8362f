// Where versions come from: the models folder now; the registry and MLflow with their own issues.
import type { Stop, VersionRef } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'

export type SourceEvent =
  /** A complete version is there for the first time. */
  | { readonly kind: 'added'; readonly ref: VersionRef }
  | { readonly kind: 'removed'; readonly ref: VersionRef }
  /** The files of a version that was already announced changed: versions are immutable, so this one is refused. */
  | { readonly kind: 'changed'; readonly ref: VersionRef; readonly reason: string }

export interface ModelSource {
  /** Complete versions, by model and number. */
  list(): Promise<VersionRef[]>
  /** Throws REGISTRY_VERSION_NOT_FOUND, REGISTRY_MANIFEST_INVALID. */
  get(ref: VersionRef): Promise<VersionArtifact>
  watch(change: (event: SourceEvent) => void): Stop
}
