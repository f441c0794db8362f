// A constant has to fit outputs that only a loaded version knows: it is checked when one is ready, not when a caller needs it.
import { type HeadraceError, type Logger, type ModelName, toHeadraceError } from '../core/index.js'
import { answeringVersion, constantFor, type Endpoint, type Versions } from '../path/index.js'

/** Logs each endpoint that uses `model` and has a constant that does not fit. */
export function checkConstants(
  endpoints: readonly Endpoint[],
  model: ModelName,
  versions: Versions,
  logger: Logger,
): void {
  for (const endpoint of endpoints) {
    const { name, route } = endpoint
    if (route.constants.length === 0 || !route.leaves.some((leaf) => leaf.model === model)) continue
    const error = firstMisfit(endpoint, versions)
    if (error?.code === 'ROUTE_CONSTANT_MISMATCH') logger.error({ endpoint: name, err: error }, error.message)
  }
}

/** Or what else went wrong: the version that says what fits may be gone again. */
function firstMisfit(endpoint: Endpoint, versions: Versions): HeadraceError | undefined {
  try {
    const served = answeringVersion(endpoint, versions)
    for (const constant of endpoint.route.constants) constantFor(constant, served, 0)
    return undefined
  } catch (error) {
    return toHeadraceError(error)
  }
}
