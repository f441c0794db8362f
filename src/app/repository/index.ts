// Loading and unloading by hand, and what else Triton's clients ask beside inference. Every face that speaks to them calls these.
import type { Actor, Evidence } from '../../decisions/index.js'
import type { App } from '../app.js'
import type { LoadRequest } from './types.js'

export { platformOf } from './config-of.js'
export { RepositoryErrors } from './errors.js'
export { repositoryIndex } from './index-view.js'
export { modelConfig } from './model-config.js'
export { modelStatistics } from './statistics.js'
export type {
  ConfigTensor,
  DynamicBatchingConfig,
  LoadRequest,
  ModelConfig,
  ModelStatistics,
  RepositoryEntry,
  RepositoryState,
  VersionPolicy,
} from './types.js'

/**
 * Loads what is there of a model now, as its config says; resolves when it is served, in every process. Throws REPOSITORY_ errors: what
 * was served before is served on then.
 */
export function repositoryLoad(app: App, request: LoadRequest, by: Actor, evidence: Evidence = {}): Promise<void> {
  return app.repository.load(request, evidence, by)
}

/** Takes a model out of service until it is loaded again, also over restarts; resolves when its calls have ended. */
export function repositoryUnload(
  app: App,
  { model }: { readonly model: string },
  by: Actor,
  evidence: Evidence = {},
): Promise<void> {
  return app.repository.unload(model, evidence, by)
}
