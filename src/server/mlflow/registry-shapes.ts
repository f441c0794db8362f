// Registered models and versions in the shapes of MLflow's messages.
import { type RegisteredModel, type RegisteredVersion, STAGES, type Tags } from '../../registry/index.js'
import { listed } from './answer.js'

export function versionShape(version: RegisteredVersion): object {
  const { lineage, reason, createdBy } = version
  return {
    name: version.model,
    version: String(version.version),
    creation_timestamp: version.createdMs,
    last_updated_timestamp: version.updatedMs,
    user_id: createdBy.name,
    current_stage: version.stage,
    description: version.description,
    source: version.source,
    run_id: lineage.runId ?? '',
    // It is kept whole; whether it can also be served is another matter, of which the message tells.
    status: 'READY',
    status_message: reason === null ? undefined : `Kept, but not served: ${reason}`,
    tags: tagsShape(version.tags),
    run_link: version.runLink,
    aliases: listed(version.aliases),
    model_id: lineage.modelId,
  }
}

/** `versions` are the model's, in any order. */
export function modelShape(model: RegisteredModel, versions: readonly RegisteredVersion[]): object {
  const aliases = Object.entries(model.aliases).map(([alias, version]) => ({ alias, version: String(version) }))
  return {
    name: model.name,
    creation_timestamp: model.createdMs,
    last_updated_timestamp: model.updatedMs,
    user_id: model.createdBy.name,
    description: model.description,
    latest_versions: listed(latestVersions(versions).map(versionShape)),
    tags: tagsShape(model.tags),
    aliases: listed(aliases),
  }
}

/** The newest version of each stage, in the order of the stages. */
export function latestVersions(
  versions: readonly RegisteredVersion[],
  stages: readonly string[] = STAGES,
): RegisteredVersion[] {
  const latest = new Map<string, RegisteredVersion>()
  for (const version of versions) {
    const known = latest.get(version.stage)
    if (known === undefined || version.version > known.version) latest.set(version.stage, version)
  }
  return stages.flatMap((stage) => latest.get(stage) ?? [])
}

function tagsShape(tags: Tags): object[] | undefined {
  const entries = Object.entries(tags)
  return entries.length === 0 ? undefined : entries.map(([key, value]) => ({ key, value }))
}
