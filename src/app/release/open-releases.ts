// Releases in the process that owns the data folder: the node's part (leases, guards), the controller where this node leads, and the service.
import path from 'node:path'
import type { ModelName } from '../../core/index.js'
import { versionKey } from '../../core/index.js'
import { createLeaderLease, requireTerm } from '../../decisions/index.js'
import {
  createReleaseService,
  DroppedJournal,
  guardsOfEndpoint,
  keepPruned,
  type Release,
  ReleaseController,
  ReleaseKeeper,
  type ReleaseService,
  releaseSection,
  selectorOf,
  versionLeaves,
} from '../../release/index.js'
import type { ServiceContext } from '../service-context.js'

export const LEADER = 'releases'
const LEADER_MS = 3_000

export async function openReleases(context: ServiceContext): Promise<ReleaseService> {
  const { project, platform, sql, log, nodeId, decisions, registry, decide, undo } = context
  const { config, dataDir } = project
  const journal = await DroppedJournal.open(path.join(dataDir, 'stopped-releases.json'))
  const keeper = new ReleaseKeeper({
    sql,
    platform,
    node: nodeId,
    processes: config.server.processes,
    journal,
    log,
    decide,
    undoCompletion,
  })
  const leader = await createLeaderLease({ sql, platform, name: LEADER, holder: nodeId, leaseMs: LEADER_MS })

  async function undoCompletion({ id, endpoint }: Release): Promise<void> {
    for (const { id: decision, change, undoes } of await decisions.list({ subject: endpoint, limit: 100 }))
      if (change.kind === 'release.complete' && change.detail['release'] === id && undoes === null) {
        await undo(decision, { kind: 'rule', name: 'release' })
        return
      }
  }

  /** What a release stands on, as configuration and decisions say it now. */
  function obstacle({ endpoint, model, selector, from }: Release): string | undefined {
    const { aliases, pointers } = registry()
    const route = pointers.get(endpoint) ?? config.endpoints[endpoint]?.route
    const leaves = route === undefined ? undefined : versionLeaves(route)
    if (leaves && !leaves.some((leaf) => leaf.model === model && selectorOf(leaf) === selector))
      return `the endpoint's route has no leaf ${selector} of ${model} any more`
    const read = JSON.parse(selector) as number | string | { alias: string }
    // An endpoint that nobody declared follows its champion from the moment there is one.
    const name = typeof read === 'object' ? read.alias : route === undefined ? 'champion' : undefined
    if (name === undefined) return undefined
    const present = aliases.find((alias) => alias.model === model && alias.alias === name)?.version
    if (typeof read === 'object' && present === undefined) return `alias "${name}" of ${model} was removed meanwhile`
    if (present === undefined || present === from) return undefined
    return `alias "${name}" of ${model} was moved to version ${present} meanwhile`
  }

  const controller = new ReleaseController({
    sql,
    platform,
    keeper,
    term: () => leader.term(),
    checkTerm: (tx, term) => requireTerm(tx, LEADER, term),
    obstacle,
    decide,
  })
  const stopPruning = keepPruned(sql, platform.clock, platform.logger)
  context.onClose(async () => {
    stopPruning()
    await controller.close()
    await leader.close()
    await keeper.close()
  })
  context.follow(async ({ change }) => {
    if (!change.kind.startsWith('release.')) return
    await keeper.changed()
    controller.wake()
  })
  const settings = releaseSection.parse({})
  const service = createReleaseService({
    sql,
    platform,
    keeper,
    decisions,
    plans: config.plans,
    settingsOf: (name) => {
      const endpoint = config.endpoints[name]
      const asked = endpoint?.release ?? settings
      return { ...asked, guards: guardsOfEndpoint(asked.guards, endpoint?.cache !== undefined) }
    },
    isKnown: (model, version) => registry().digests.has(versionKey({ model: model as ModelName, version })),
    decide,
  })
  await keeper.look()
  controller.wake()
  return service
}
