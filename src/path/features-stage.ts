// Features: one reading for all versions that an endpoint may call, then tensors for each of them as it is called. It fails for the
// caller's mistakes only; a version that lacks what others have is that version's misfit.
import { type Clock, type HeadraceError, toHeadraceError } from '../core/index.js'
import type { FeatureReader, ServedFeatures } from '../features/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import { Assembly } from './assembly.js'
import type { FeatureRoutes } from './endpoint-features.js'
import { FEATURES_DEFAULT, FEATURES_STALE } from './flags.js'
import type { Prediction } from './prediction.js'
import type { Stage } from './stage.js'

export interface FeatureStage extends Stage {
  /** The tensors of a prediction with `given` for one of its versions. Throws or rejects with PATH_VERSION_UNFIT. */
  tensorsFor(prediction: Prediction, served: ServedVersion): TensorMap | Promise<TensorMap>
}

export function featureStage(clock: Clock, reader: FeatureReader, routes: FeatureRoutes): FeatureStage {
  function read(prediction: Prediction): ServedFeatures | Promise<ServedFeatures> | undefined {
    const given = prediction.given!
    if (given.reading !== undefined) return given.reading
    const features = prediction.features!
    const { plan } = features
    if (plan.services.length === 0 || features.needsNothing(given)) return undefined
    const policy = prediction.endpoint.features
    given.reading = reader.read(plan, {
      rows: given.rows,
      keys: given.keys,
      given: given.forPlan(plan),
      // When the request came: how long it waited must not decide what a window holds.
      atMs: Math.round(clock.nowMs() - (clock.monotonicMs() - prediction.arrivedMs)),
      budgetMs: Math.min(policy?.budgetMs ?? DEFAULT_BUDGET_MS, prediction.deadline!.remainingMs()),
      lastKnownMs: policy?.lastKnownMs,
      mayLack: true,
    })
    return given.reading
  }

  /** The first version of the route that the request suffices for; when it does for none, it is the caller's mistake. */
  function check(prediction: Prediction): void {
    const { assemblies } = prediction.features!
    let mistake: HeadraceError | undefined
    for (let i = 0; i < assemblies.length; i++) {
      const assembly = assemblies[i]!
      try {
        prediction.tensors = assembled(prediction, assembly)
        return
      } catch (error) {
        mistake ??= toHeadraceError(error)
      }
    }
    if (mistake !== undefined) throw mistake
  }

  function took(prediction: Prediction, served: ServedFeatures): void {
    prediction.servedFeatures = served
    check(prediction)
  }

  return {
    name: 'features',
    run(prediction) {
      const reading = read(prediction)
      if (reading === undefined) return check(prediction)
      if (!(reading instanceof Promise)) {
        prediction.given!.reading = reading
        return took(prediction, reading)
      }
      return reading.then((served) => took(prediction, served))
    },
    tensorsFor(prediction, served) {
      const features = prediction.features!
      const assembly = features.assemblyOf(served) ?? features.addLate(served)
      if (assembly !== undefined) {
        try {
          return assembled(prediction, assembly)
        } catch (error) {
          const failure = toHeadraceError(error)
          throw failure.code === 'PATH_VERSION_UNFIT' ? failure : assembly.unfit(failure)
        }
      }
      return late(prediction, served)
    },
  }

  /** A version that was never there before, whose service nobody knew when the features were read. */
  async function late(prediction: Prediction, served: ServedVersion): Promise<TensorMap> {
    const { endpoint, given, firstRow, rows } = prediction
    const own = routes.of(endpoint, served)!
    const { plan } = own
    const assembly = new Assembly(served, plan)
    try {
      const values = await reader.read(plan, {
        rows: given!.rows,
        keys: given!.keys,
        given: given!.forPlan(plan),
        atMs: Math.round(clock.nowMs()),
        budgetMs: endpoint.features?.budgetMs ?? DEFAULT_BUDGET_MS,
        lastKnownMs: endpoint.features?.lastKnownMs,
        mayLack: true,
      })
      return assembly.tensors(given!, values, firstRow, rows)
    } catch (error) {
      throw assembly.unfit(toHeadraceError(error))
    }
  }
}

const DEFAULT_BUDGET_MS = 20

/** Once per version and prediction. */
function assembled(prediction: Prediction, assembly: Assembly): TensorMap {
  const known = prediction.assembled?.get(assembly)
  if (known !== undefined) return known
  const { given, firstRow, rows, servedFeatures } = prediction
  const tensors = assembly.tensors(given!, servedFeatures, firstRow, rows)
  prediction.assembled ??= new Map()
  prediction.assembled.set(assembly, tensors)
  return tensors
}

/** What a reply says of the features that its version was given; of all of them where several versions made it. */
export function featureFlags(prediction: Prediction, served: ServedVersion | undefined): number {
  const { servedFeatures, features, firstRow, rows } = prediction
  if (servedFeatures === undefined || !servedFeatures.isDegraded) return 0
  const service = served && features!.assemblyOf(served)?.service
  // It was given none.
  if (served !== undefined && service === undefined) return 0
  const { plan, sources } = servedFeatures
  let flags = 0
  for (let c = 0; c < sources.length; c++) {
    if (service !== undefined && !plan.features[c]!.services.includes(service)) continue
    const column = sources[c]!
    for (let row = firstRow; row < firstRow + rows; row++) {
      if (column[row] === 'default') flags |= FEATURES_DEFAULT
      else if (column[row] === 'last-known') flags |= FEATURES_STALE
    }
  }
  return flags
}
