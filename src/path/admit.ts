// Admit: is this request well-formed for its endpoint, and how long may it take? Everything after it trusts the tensors.
import type { Clock } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import { validateInputs, validateOutputNames } from '../tensor/index.js'
import { referenceVersion, type Versions } from './endpoint.js'
import { PathErrors } from './errors.js'
import type { Stage } from './stage.js'

export interface AdmitOptions {
  readonly clock: Clock
  readonly versions: Versions
  readonly isDraining: () => boolean
}

export function admitStage({ clock, versions, isDraining }: AdmitOptions): Stage {
  return {
    name: 'admit',
    run(prediction) {
      if (isDraining()) throw PathErrors.DRAINING({ retryAfterMs: 1000 })
      const { endpoint } = prediction
      const { signature } = prediction.pinned ?? referenceVersion(endpoint, versions)
      prediction.rows = validateInputs(prediction.tensors, signature)
      validateOutputNames(prediction.outputs, signature)
      const limitMs = Math.min(prediction.timeoutMs ?? endpoint.deadlineMs, endpoint.deadlineMs)
      // The time already spent reading and parsing counts.
      prediction.deadline = Deadline.in(clock, limitMs - (clock.monotonicMs() - prediction.arrivedMs))
    },
  }
}
