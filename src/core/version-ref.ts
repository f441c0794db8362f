import type { ModelName } from './ids.js'

/** One immutable version of a model; versions are numbered 1, 2, … per model. */
export interface VersionRef {
  readonly model: ModelName
  readonly version: number
}

/** `fraud/2`: a version as a map key and in messages. */
export function versionKey(ref: VersionRef): string {
  return `${ref.model}/${ref.version}`
}
