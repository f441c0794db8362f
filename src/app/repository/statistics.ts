// The statistics of versions as Triton's clients read them, of this process and of all of a server.
import { ServingErrors } from '../../serving/index.js'
import type { App } from '../app.js'
import { modelOf } from './names.js'
import { processStatistics } from './process-statistics.js'
import type { ModelStatistics } from './types.js'

/**
 * Of every version that was ever loaded, or of an endpoint's model, or of one version of it. A version that was unloaded keeps its
 * counts. Throws PATH_ENDPOINT_NOT_FOUND, SERVING_MODEL_NOT_FOUND, SERVING_VERSION_NOT_FOUND.
 */
export async function modelStatistics(app: App, name?: string, version?: number): Promise<ModelStatistics[]> {
  const all = app.peers ? await app.peers.gatherStatistics() : processStatistics(app)
  if (name === undefined) return [...all]
  const model = modelOf(app, name)
  const ofModel = all.filter((statistics) => statistics.name === model)
  const found = version === undefined ? ofModel : ofModel.filter((entry) => entry.version === String(version))
  if (found.length === 0) {
    const known = ofModel.map((entry) => Number(entry.version))
    if (version !== undefined && known.length > 0) throw ServingErrors.VERSION_NOT_FOUND({ model, version, known })
    throw ServingErrors.MODEL_NOT_FOUND({ model: name, known: [...new Set(all.map((entry) => entry.name))] })
  }
  return found.map((statistics) => ({ ...statistics, name }))
}
