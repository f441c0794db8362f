// Features: one reading for all versions that an endpoint may call, then tensors for each of them as it is called. It fails for the
// caller's mistakes only; a version that lacks what others have is that version's misfit.
import { type Clock, type HeadraceError, toHeadraceError } from '../core/index.js'
import type { FeatureReader, ReadPlan, ServedFeatures } from '../features/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import { Assembly } from './assembly.js'
import type { FeatureRoutes } from './endpoint-features.js'
import { FEATURES_DEFAULT, FEATURES_STALE } from './flags.js'
import type { Reading } from './given.js'
import { joinFeatures } from './joined-features.js'
import type { Prediction } from './prediction.js'
import type { Stage } from './stage.js'

export interface FeatureStage extends Stage {
  /** The tensors of a prediction with `given` for one of its versions. Throws or rejects with PATH_VERSION_UNFIT. */
  tensorsFor(prediction: Prediction, served: ServedVersion): TensorMap | Promise<TensorMap>
}

export function featureStage(clock: Clock, reader: FeatureReader, routes: FeatureRoutes): FeatureStage {
  function read(prediction: Prediction, plan: ReadPlan): Reading {
    return prediction.given!.read(plan, (given) => {
      const policy = prediction.endpoint.features
      return reader.read(plan, {
        rows: given.rows,
        keys: given.keys,
        given: given.forPlan(plan),
        // When the request came: how long it waited must not decide what a window holds.
        atMs: Math.round(clock.nowMs() - (clock.monotonicMs() - prediction.arrivedMs)),
        budgetMs: Math.min(policy?.budgetMs ?? DEFAULT_BUDGET_MS, prediction.deadline!.remainingMs()),
        lastKnownMs: policy?.lastKnownMs,
        mayLack: true,
      })
    })
  }

  return {
    name: 'features',
    run(prediction) {
      const features = prediction.features!
      const { plan } = features
      if (plan.services.length === 0 || features.needsNothing(prediction.given!)) return check(prediction)
      const reading = read(prediction, plan)
      if (reading instanceof Promise)
        return reading.then((served) => {
          prediction.servedFeatures = served
          return check(prediction)
        })
      prediction.servedFeatures = reading
      return check(prediction)
    },
    tensorsFor(prediction, served) {
      const features = prediction.features!
      const assembly = features.assemblyOf(served) ?? features.addLate(served)
      if (assembly === undefined) return late(prediction, served)
      try {
        const tensors = assembled(prediction, assembly)
        if (!(tensors instanceof Promise)) return tensors
        return tensors.catch((error: unknown) => {
          throw misfit(assembly, error)
        })
      } catch (error) {
        throw misfit(assembly, error)
      }
    },
  }

  /** A version that was never there before, whose service nobody knew when the features were read. */
  async function late(prediction: Prediction, served: ServedVersion): Promise<TensorMap> {
    const { plan } = routes.of(prediction.endpoint, served)!
    let assembly = prediction.late?.get(served)
    if (assembly === undefined) {
      assembly = new Assembly(served, plan)
      prediction.late ??= new Map()
      prediction.late.set(served, assembly)
    }
    try {
      let own: ServedFeatures | undefined
      if (plan.services.length > 0) {
        own = await read(prediction, plan)
        const others = prediction.servedFeatures
        const isJoined = others?.plan.services.some(({ name }) => name === plan.services[0]!.name)
        if (isJoined !== true) prediction.servedFeatures = others === undefined ? own : joinFeatures(others, own)
      }
      return await assembled(prediction, assembly, own)
    } catch (error) {
      throw misfit(assembly, error)
    }
  }
}

/**
 * The first version of the route that the request suffices for; when it does for none, it is the caller's mistake. Where a version is unfit
 * for what it was served, it is not: the route may have an answer all the same.
 */
function check(prediction: Prediction, from = 0, mistake?: HeadraceError): void | Promise<void> {
  const { assemblies } = prediction.features!
  let first = mistake
  for (let i = from; i < assemblies.length; i++) {
    try {
      const tensors = assembled(prediction, assemblies[i]!)
      if (tensors instanceof Promise)
        return tensors.then(
          (ready) => {
            prediction.tensors = ready
          },
          (error: unknown) => check(prediction, i + 1, worse(first, error)),
        )
      prediction.tensors = tensors
      return
    } catch (error) {
      first = worse(first, error)
    }
  }
  if (first !== undefined && first.code !== 'PATH_VERSION_UNFIT') throw first
}

/** Of two that failed: what is not the caller's mistake, else the first. */
function worse(known: HeadraceError | undefined, error: unknown): HeadraceError {
  const failure = toHeadraceError(error)
  return known === undefined || failure.code === 'PATH_VERSION_UNFIT' ? failure : known
}

function misfit(assembly: Assembly, error: unknown): HeadraceError {
  const failure = toHeadraceError(error)
  return failure.code === 'PATH_VERSION_UNFIT' ? failure : assembly.unfit(failure)
}

const DEFAULT_BUDGET_MS = 20

/** Once per version and prediction. */
function assembled(
  prediction: Prediction,
  assembly: Assembly,
  features = prediction.servedFeatures,
): TensorMap | Promise<TensorMap> {
  const known = prediction.assembled?.get(assembly)
  if (known !== undefined) return known
  const { given, firstRow, rows } = prediction
  const tensors = assembly.tensors(given!, features, firstRow, rows)
  prediction.assembled ??= new Map()
  prediction.assembled.set(assembly, tensors)
  return tensors
}

/** What a reply says of the features that its version was given; of all of them where several versions made it. */
export function featureFlags(prediction: Prediction, served: ServedVersion | undefined): number {
  const { servedFeatures, features, late, firstRow, rows } = prediction
  if (servedFeatures === undefined || !servedFeatures.isDegraded) return 0
  const service = served && (features!.assemblyOf(served) ?? late?.get(served))?.service
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
