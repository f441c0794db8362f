// What somebody who belongs to a tenant sees of a release: where the traffic of its endpoint goes and how far that is. Evidence, counts and
// reasons are of the traffic of all tenants, and who acts may be of another one.
import { type Caller, isTenantBound } from '../../access/index.js'
import type { Actor } from '../../decisions/index.js'
import type { Release, ReleaseStatus } from '../../release/index.js'

export const NOT_SHOWN = 'not shown'

/** As the API answers: counts that are not shown are null. */
export interface ReleaseStatusShown extends Omit<ReleaseStatus, 'progress'> {
  readonly isReduced: boolean
  readonly progress: Omit<ReleaseStatus['progress'], 'units' | 'controlUnits'> & {
    readonly units: number | null
    readonly controlUnits: number | null
  }
}

export function shownRelease(caller: Caller, release: Release): Release {
  if (!isTenantBound(caller)) return release
  const { startedBy } = release
  return { ...release, startedBy: shownActor(caller, startedBy), reason: null }
}

export function shownStatus(caller: Caller, status: ReleaseStatus): ReleaseStatusShown {
  if (!isTenantBound(caller)) return { ...status, isReduced: false }
  return {
    ...status,
    isReduced: true,
    release: shownRelease(caller, status.release),
    progress: {
      ...status.progress,
      units: null,
      controlUnits: null,
      summary: `What the release waits for, and why it ended, is of the traffic of all tenants: not shown to tenant "${caller.tenant}".`,
    },
    guards: [],
    shadow: null,
    events: [],
    nodes: status.nodes.map((node) => ({ ...node, reason: null })),
  }
}

function shownActor(caller: Caller, actor: Actor): Actor {
  if (actor.kind !== 'person' || actor.name === caller.name) return actor
  return { ...actor, name: NOT_SHOWN }
}
