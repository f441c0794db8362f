// The versions that a process's routes name by number, as its node reports them: configurations of nodes may differ.
import type { Endpoints } from '../endpoints.js'
import type { Engines } from '../engines.js'
import type { NodesService } from './service.js'

const PART = 'pinned'
/** A report is a row that every node writes. */
const NAMED = 1000

export function reportPinned(engines: Pick<Engines, 'report'>, endpoints: Pick<Endpoints, 'list'>): void {
  engines.report(PART, () => {
    const pinned = new Set<string>()
    for (const { route } of endpoints.list())
      for (const { model, version } of route.leaves)
        if (typeof version === 'number' && pinned.size < NAMED) pinned.add(`${model}/${version}`)
    return [...pinned]
  })
}

/** What the other nodes that are there report, as `model/version`. */
export async function pinnedElsewhere(
  nodes: NodesService,
): Promise<{ readonly node: string; readonly keys: readonly string[] }[]> {
  const all = await nodes.list()
  return all
    .filter(({ isSelf, isGone }) => !isSelf && !isGone)
    .map(({ id, name, processes }) => ({
      node: `${name} (${id})`,
      keys: processes.flatMap(({ parts }) => (Array.isArray(parts[PART]) ? (parts[PART] as string[]) : [])),
    }))
}
