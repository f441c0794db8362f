// The registry in the process that owns the data folder.
import { join } from 'node:path'
import type { Digest } from '../../core/index.js'
import { createLocalVersions, createRegistry, type RegistryService, versionsIn } from '../../registry/index.js'
import { convertModel } from '../../serving/index.js'
import { registeredFolder } from '../data-folder.js'
import type { ServiceContext } from '../service-context.js'

export function openRegistry(context: ServiceContext): RegistryService {
  const { project, platform, sql, blobs, decide, decisions, registeredChanges, services } = context
  const { models, config } = project
  return createRegistry({
    sql,
    blobs,
    platform,
    changes: registeredChanges,
    local: createLocalVersions({ folder: registeredFolder(project), blobs, platform }),
    decide,
    decisions: (query) => decisions.list(query),
    convert: convertModel,
    retention: {
      keepVersions: config.registry.retention.keepVersions,
      keepDays: config.registry.retention.keepDays,
      deletedDays: config.registry.retention.deletedDays,
    },
    takenElsewhere: async (model) =>
      models.kind === 'file' ? [] : versionsIn(join(models.folder, model)).catch(() => []),
    othersNeed: async (digests) => new Set((await services.tracking.digestsInUse(digests)) as Digest[]),
  })
}

/** Whether a decision makes a registered version come or go. */
export function isRegisteredChange(kind: string): boolean {
  return kind === 'version.register' || kind === 'version.delete' || kind === 'version.restore'
}
