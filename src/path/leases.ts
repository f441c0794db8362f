// Calls of a release's candidate: they count only while this process holds the release's lease. When that is lost, what is under way
// is not waited for: the version that serves without the release answers in its place, and the candidate's answer is dropped.
import type { Stop } from '../core/index.js'
import type { RouteChoice, RouteLeases } from '../route/index.js'
import type { CachePolicy } from '../serving/index.js'

export interface Leases extends RouteLeases {
  /** Calls `lost` once when the lease is lost, at once when it is not held. */
  onLost(release: string, lost: () => void): Stop
}

/**
 * What `calling` gives if the lease is held until then, else what `otherwise` gives. Asked again when the answer is there: a process
 * that stood still meanwhile must not let it out.
 */
export function whileLeased<T>(
  leases: Leases,
  release: string,
  calling: Promise<T>,
  otherwise: () => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isOver = false
    let stop: Stop | undefined
    const lost = () => {
      if (isOver) return
      isOver = true
      stop?.()
      otherwise().then(resolve, reject)
    }
    const ended = (tell: () => void) => {
      if (isOver) return
      if (!leases.holds(release)) {
        lost()
        return
      }
      isOver = true
      stop?.()
      tell()
    }
    calling.then(
      (result) => ended(() => resolve(result)),
      (error: unknown) => ended(() => reject(error)),
    )
    stop = leases.onLost(release, lost)
    if (isOver) stop()
  })
}

/** Whether some node passed over an arm whose lease was not held. */
export function hasUnleased(choices: readonly RouteChoice[]): boolean {
  for (let i = 0; i < choices.length; i++) if (choices[i]!.isUnleased === true) return true
  return false
}

const partitions = new WeakMap<CachePolicy, Map<string, CachePolicy>>()

/** The policy of an arm that keeps answers of its own; one object for each, as caches expect. */
export function partitioned(policy: CachePolicy, partition: string): CachePolicy {
  let parts = partitions.get(policy)
  if (parts === undefined) {
    parts = new Map()
    partitions.set(policy, parts)
  }
  let part = parts.get(partition)
  if (part === undefined) {
    part = { ...policy, partition }
    parts.set(partition, part)
  }
  return part
}
