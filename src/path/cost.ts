// What calls cost: the version's cost of a row for each row that ran. An answer from the cache costs nothing.
import type { RecordedCall } from '../log/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { Prediction } from './prediction.js'

/** Failures of a run that took place, by whoever noticed; any other failure came before a run. */
const RAN: ReadonlySet<string> = new Set([
  'ok',
  'SERVING_RUN_FAILED',
  'SERVING_RUN_TIMEOUT',
  'SERVING_OUTPUT_MISMATCH',
  'ONNX_VALUES_REFUSED',
  'ONNX_RUN_FAILED',
  'ONNX_THREAD_DIED',
  'SCRIPT_RUN_FAILED',
  'SCRIPT_OUTPUT_INVALID',
  'SCRIPT_RUN_TIMEOUT',
  'SCRIPT_THREAD_ENDED',
])

/** Undefined when the version states no cost. */
export function costOf(
  served: ServedVersion | undefined,
  { status, cached }: Pick<RecordedCall, 'status' | 'cached'>,
  rows: number,
): number | undefined {
  if (served === undefined) return 0
  const { cost } = served.manifest
  if (cost === undefined) return undefined
  return RAN.has(status) && cached === undefined ? cost * rows : 0
}

/** Adds a call to what its prediction cost. */
export function addCost(prediction: Prediction, served: ServedVersion | undefined, call: RecordedCall): void {
  const cost = costOf(served, call, prediction.rows)
  if (cost === undefined) prediction.hasUnknownCost = true
  else prediction.knownCost += cost
}

/** Null when a version that was called states no cost. */
export function costOfAll({ calls, hasUnknownCost, knownCost }: Prediction): number | null {
  return hasUnknownCost || calls.length === 0 ? null : knownCost
}
