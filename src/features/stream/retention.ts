// How long the events of a source stay in the event log: as long as is said, but never shorter than what it takes to rebuild the windows.
import type { FeatureProject } from '../compiled.js'
import { latenessMsOf } from '../seam.js'

/** undefined: for ever. */
export function eventRetention(
  project: FeatureProject,
  keptMs: number | undefined,
): (source: string) => number | undefined {
  return (name) => {
    const source = project.sources.get(name)
    if (keptMs === undefined || source === undefined || (source.kind !== 'push' && source.kind !== 'kafka'))
      return keptMs
    let neededMs = keptMs
    for (const view of project.views.values()) {
      if (view.kind !== 'windows' || view.stream?.name !== name) continue
      const latenessMs = latenessMsOf(source)
      neededMs = Math.max(neededMs, view.maxWindowMs + view.hopMs + latenessMs)
    }
    return neededMs
  }
}
