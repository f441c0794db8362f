// The gates' service, in the process that owns the data folder.
import { createHash } from 'node:crypto'
import { type ModelName, versionKey } from '../../core/index.js'
import type { GatedEndpoint, GateService, GateSettings } from '../../release/index.js'
import { createGateService, gateMigrations } from '../../release/index.js'
import { compileRoute } from '../../route/index.js'
import type { LoadedProject } from '../load-project.js'
import type { ServiceContext } from '../service-context.js'

export async function openGates(context: ServiceContext): Promise<GateService> {
  const { project, platform, sql, decisions, decide, registry } = context
  await sql.migrate('gates', gateMigrations)
  const declared = gatedEndpoints(project)
  return createGateService({
    sql,
    platform,
    decisions,
    decide,
    digestOf: (ref) => registry().digests.get(versionKey(ref)),
    knownVersions: (model) => numbersOf(registry().digests.keys(), model as ModelName),
    aliasOf: (model, alias) =>
      registry().aliases.find((known) => known.model === model && known.alias === alias)?.version,
    gated: () =>
      declared.map((endpoint) => {
        const pointer = registry().pointers.get(endpoint.name)
        return pointer === undefined ? endpoint : { ...endpoint, leaves: [pointer] }
      }),
  })
}

/** Endpoints whose configuration says `gates`. */
function gatedEndpoints(project: LoadedProject): GatedEndpoint[] {
  return Object.entries(project.config.endpoints).flatMap(([name, { gates, route }]) =>
    gates === undefined
      ? []
      : [
          {
            name,
            settings: gates,
            settingsDigest: settingsDigest(project, name),
            leaves: compileRoute(route).leaves,
          },
        ],
  )
}

/** Of everything that a report of an endpoint depends on in the configuration. */
export function settingsDigest({ config }: LoadedProject, endpoint: string): string {
  const gates: GateSettings | undefined = config.endpoints[endpoint]?.gates
  const used = new Set(gates?.evaluations.map(({ dataset }) => dataset))
  const datasets = Object.entries(config.datasets).filter(([name]) => used.has(name))
  return createHash('sha256')
    .update(JSON.stringify([gates ?? null, datasets]))
    .digest('hex')
    .slice(0, 32)
}

function numbersOf(keys: Iterable<string>, model: ModelName): number[] {
  const prefix = `${model}/`
  return [...keys]
    .filter((key) => key.startsWith(prefix))
    .map((key) => Number(key.slice(prefix.length)))
    .sort((a, b) => a - b)
}
