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
  /** Milliseconds; default 20 and an hour. */
  readonly features?: { readonly budgetMs: number; readonly lastKnownMs: number } | undefined
}

/** What leaves mean at this moment: versions appear, fail and are unloaded while requests run. */
export interface Versions {
  /** Throws SERVING_MODEL_NOT_FOUND, SERVING_VERSION_NOT_FOUND or SERVING_MODEL_UNREADY. */
  resolve(leaf: VersionLeaf): ServedVersion
  /** What `resolve` gives; undefined where that throws, at no more cost. */
  there(leaf: VersionLeaf): ServedVersion | undefined
  /** The version that was there last, if any, for what it says of itself: it may be gone, and its leaf must not be called. */
  lastSeen(leaf: VersionLeaf): ServedVersion | undefined
  /**
   * Loads a version that nobody has asked for before: until then it cannot be resolved. Undefined when there is nothing to wait for;
   * that is nearly always so, and costs next to nothing. Rejects when it cannot be loaded, and after `limitMs`.
   */
  wake(leaf: VersionLeaf, limitMs?: number): Promise<void> | undefined
}

/**
 * The version whose signature and feature names callers of an endpoint write to: the first of its route that is there, so that a
 * version that does not load takes nobody's fallback away. When none is, the one that was there last:
 * a constant can still answer. Throws what the first one throws when none ever was.
 */
export function referenceVersion({ route }: Endpoint, versions: Versions): ServedVersion {
  return firstThere(route.leaves, versions) ?? lastSeen(route.leaves, versions)
}

/** The version whose outputs callers of an endpoint get: the same one, but for shadows and what a meta-model is given. */
export function answeringVersion({ route }: Endpoint, versions: Versions): ServedVersion {
  return firstThere(route.answering, versions) ?? lastSeen(route.answering, versions)
}

/** Waits until a version is there that describes the endpoint to its callers; undefined when there is one, or none can be woken. */
export function wakeReference({ route, deadlineMs }: Endpoint, versions: Versions): Promise<void> | undefined {
  const waking = wakeFirst(route.leaves, 0, versions, deadlineMs)
  if (route.direct) return waking
  if (waking === undefined) return wakeFirst(route.answering, 0, versions, deadlineMs)
  return waking.then(() => wakeFirst(route.answering, 0, versions, deadlineMs))
}

function wakeFirst(
  leaves: readonly VersionLeaf[],
  start: number,
  versions: Versions,
  limitMs: number,
): Promise<void> | undefined {
  for (let i = start; i < leaves.length; i++) {
    const waking = versions.wake(leaves[i]!, limitMs)
    if (waking === undefined) {
      if (firstThere([leaves[i]!], versions) !== undefined) return undefined
    } else if (i + 1 === leaves.length) return waking
    else return waking.catch(() => wakeFirst(leaves, i + 1, versions, limitMs))
  }
  return undefined
}

/** The first of some leaves whose version is there now. */
export function firstThere(leaves: readonly VersionLeaf[], versions: Versions): ServedVersion | undefined {
  for (let i = 0; i < leaves.length; i++) {
    const served = versions.there(leaves[i]!)
    if (served !== undefined) return served
  }
  return undefined
}

function lastSeen(leaves: readonly VersionLeaf[], versions: Versions): ServedVersion {
  for (let i = 0; i < leaves.length; i++) {
    const seen = versions.lastSeen(leaves[i]!)
    if (seen !== undefined) return seen
  }
  return versions.resolve(leaves[0]!)
}
