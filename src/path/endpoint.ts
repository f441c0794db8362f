// An endpoint as the path uses it: a name, a compiled route and its policies. Made by `app`, replaced whole when it changes.
import type { EndpointName } from '../core/index.js'
import type { CompiledRoute, VersionLeaf } from '../route/index.js'
import type { CachePolicy, Priority, ServedVersion } from '../serving/index.js'

export interface Endpoint {
  readonly name: EndpointName
  readonly route: CompiledRoute
  /** Longest a request may take, milliseconds. */
  readonly deadlineMs: number
  /** `before-reply` holds the answer back until its record is durable. */
  readonly ack: 'none' | 'before-reply'
  /** Undefined: every request asks the model. */
  readonly cache?: CachePolicy | undefined
  /** Of a request that names none; default `normal`. */
  readonly priority?: Priority
}

/** What leaves mean at this moment: versions appear, fail and are unloaded while requests run. */
export interface Versions {
  /** Throws SERVING_MODEL_NOT_FOUND, SERVING_VERSION_NOT_FOUND or SERVING_MODEL_UNREADY. */
  resolve(leaf: VersionLeaf): ServedVersion
}

/** The version whose signature and feature names callers of an endpoint write to: its route's first leaf. */
export function referenceVersion(endpoint: Endpoint, versions: Versions): ServedVersion {
  return versions.resolve(endpoint.route.leaves[0]!)
}
