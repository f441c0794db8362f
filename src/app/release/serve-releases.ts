// Releases in a process that serves: it loads the candidates of active releases, holds leases as long as the node's owner of the data
// folder says so, and tells it whether it could serve them.
import type { ModelName, Platform, Stop, Timer } from '../../core/index.js'
import { type ActiveRelease, LEASE_MS, LeaseTable } from '../../release/index.js'
import type { Pool } from '../../serving/index.js'
import type { Engines } from '../engines.js'

/** A candidate that a guard stopped gets no call from any process after so long, whatever else is down. */
const ASK_MS = 200
/** What this process can do is said again so often. */
const REPORT_MS = 1_000

export interface ServedReleases {
  readonly leases: LeaseTable
  /** Releases may have changed; the endpoints are those of this state already. */
  changed(): void
  /** Loads the candidates and asks for the leases from now on. */
  start(): void
  readonly stop: Stop
}

export function serveReleases(engines: Engines, pool: Pool, platform: Platform): ServedReleases {
  const { clock, logger } = platform
  const leases = new LeaseTable(clock)
  const name = String(engines.peers?.number ?? 1)
  let timer: Timer | undefined
  let isStarted = false
  let isStopped = false
  let isAsking = false
  let reportedMs = Number.NEGATIVE_INFINITY
  const told = new Map<string, string>()
  const failed = new Set<string>()

  /** Wakes a candidate that rests; its state is what counts. */
  function stateOf({ model, to }: ActiveRelease): { isWarm: boolean; failure: string | null } {
    const ref = { model: model as ModelName, version: to }
    const status = pool.status(ref)
    if (status?.state === 'ready') return { isWarm: true, failure: null }
    if (status?.state === 'failed') return { isWarm: false, failure: status.reason ?? 'its load failed' }
    if (status?.state === 'resting') void pool.wake(ref)?.catch(() => undefined)
    return { isWarm: false, failure: null }
  }

  async function ask(): Promise<void> {
    if (isAsking || isStopped) return
    isAsking = true
    timer?.cancel()
    try {
      const askedMs = clock.monotonicMs()
      const grants = engines.registry().releases.length === 0 ? [] : await engines.services.releases.grants()
      // What is over by now must not be leased again.
      const { releases } = engines.registry()
      for (const release of releases) {
        const grant = grants.find((candidate) => candidate.release === release.id)
        if (grant) leases.grant(release.id, askedMs - grant.ageMs + LEASE_MS)
        else leases.drop(release.id)
      }
      await tell(releases)
    } catch (error) {
      // The owner is gone or busy: leases end by themselves.
      logger.debug({ err: error }, 'leases of releases were not renewed')
    } finally {
      isAsking = false
      if (!isStopped && engines.registry().releases.length > 0) timer = clock.after(ASK_MS, () => void ask())
    }
  }

  async function tell(releases: readonly ActiveRelease[]): Promise<void> {
    const isDue = clock.monotonicMs() - reportedMs >= REPORT_MS
    if (isDue) reportedMs = clock.monotonicMs()
    for (const release of releases) {
      const { isWarm, failure } = stateOf(release)
      leases.warm(release.id, isWarm)
      const text = `${release.revision} ${isWarm} ${failure ?? ''}`
      if (!isDue && told.get(release.id) === text) continue
      if (failure !== null && failed.has(release.id)) continue
      if (failure !== null) failed.add(release.id)
      told.set(release.id, text)
      await engines.services.releases.report({
        release: release.id,
        process: name,
        revision: release.revision,
        isWarm,
        failure,
      })
    }
  }

  const unwatch = pool.watch(({ ref, state }) => {
    for (const release of engines.registry().releases)
      if (release.model === ref.model && release.to === ref.version) {
        if (state !== 'ready') leases.warm(release.id, false)
        else if (isStarted) void ask()
      }
  })

  return {
    leases,
    changed() {
      const ids = new Set(engines.registry().releases.map(({ id }) => id))
      leases.keep(ids)
      for (const id of [...told.keys()]) if (!ids.has(id)) told.delete(id)
      for (const id of [...failed]) if (!ids.has(id)) failed.delete(id)
      if (isStarted && ids.size > 0) void ask()
    },
    start() {
      isStarted = true
      void ask()
    },
    stop() {
      isStopped = true
      timer?.cancel()
      unwatch()
      leases.keep(new Set())
    },
  }
}
