// Admit: is there room for this request, is it well-formed for its endpoint, how long may it take, and has its caller any left? Everything after it
// trusts the tensors.
import type { Clock } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { LeafInput, Priority } from '../serving/index.js'
import { validateInputs, validateOutputNames } from '../tensor/index.js'
import { answeringVersion, referenceVersion, type Versions } from './endpoint.js'
import { PathErrors } from './errors.js'
import type { Prediction } from './prediction.js'
import type { Stage } from './stage.js'

export interface AdmitOptions {
  readonly clock: Clock
  readonly versions: Versions
  readonly isDraining: () => boolean
  /** Predictions in flight, the one that asks included. */
  readonly inFlight: () => number
  /** Most predictions in flight at once. */
  readonly maxInFlight: number
}

/** How much of the room a priority may fill: overload is felt from the last to the first, and something is kept for the first. */
const SHARE: Readonly<Record<Priority, number>> = { high: 1, normal: 0.9, low: 0.75 }

/** What is in flight has mostly been answered by then; the queue of a model says more exactly when it is the model that is full. */
const RETRY_AFTER_MS = 1000

export function admitStage({ clock, versions, isDraining, inFlight, maxInFlight }: AdmitOptions): Stage {
  // At least one: with a limit of 1 the lower priorities may come in too.
  const room: Readonly<Record<Priority, number>> = {
    high: maxInFlight,
    normal: Math.max(1, Math.floor(maxInFlight * SHARE.normal)),
    low: Math.max(1, Math.floor(maxInFlight * SHARE.low)),
  }
  return {
    name: 'admit',
    run(prediction) {
      if (isDraining()) throw PathErrors.DRAINING({ retryAfterMs: 1000 })
      const limit = room[priorityOf(prediction)]
      if (inFlight() > limit)
        throw PathErrors.OVERLOADED({
          inFlight: inFlight() - 1,
          limit,
          priority: priorityOf(prediction),
          retryAfterMs: RETRY_AFTER_MS,
        })
      const { endpoint } = prediction
      const { pinned, outputs } = prediction
      // Where versions have feature services, there are tensors to check once the features are there.
      if (prediction.given === undefined) {
        const { signature } = pinned ?? referenceVersion(endpoint, versions)
        prediction.rows = validateInputs(prediction.tensors, signature)
      }
      if (outputs) validateOutputNames(outputs, (pinned ?? answeringVersion(endpoint, versions)).signature)
      const limitMs = Math.min(prediction.timeoutMs ?? endpoint.deadlineMs, endpoint.deadlineMs)
      // The time already spent reading and parsing counts.
      prediction.deadline = Deadline.at(clock, prediction.arrivedMs + limitMs)
      // Last: what is refused is not counted.
      return prediction.meter?.admitRows(endpoint.name, prediction.rows)
    },
  }
}

function priorityOf(prediction: Prediction): Priority {
  return (prediction as LeafInput).priority ?? prediction.endpoint.priority ?? 'normal'
}
