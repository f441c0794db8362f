// Which calls count as failures of the version that was called: 5xx-like codes, timeouts among them. A caller's mistake (4xx), a full
// queue (429) and a cancelled call (499) say nothing of the version, and neither do codes of calls that never reached it. What the
// version itself refused does: another version may take it, and where it is the caller's mistake it falls to both arms alike.
import { declaredErrors } from '../../core/index.js'
// For their tables of codes: a process that reads the log may have called nothing itself.
import '../../path/index.js'
import '../../serving/index.js'

/** Never reached: an open circuit in particular would turn the failures of one broken user into failures of all. */
const NOT_CALLED = ['ROUTE_CIRCUIT_OPEN', 'ROUTE_NO_LAST_KNOWN', 'PATH_DRAINING']

/** Declared as the caller's mistake, but found by running the version: an operator that does not know a category, a shape that does not fit. */
const REFUSED_BY_VERSION = [
  'ONNX_VALUES_REFUSED',
  'ONNX_INPUT_REFUSED',
  'PIPELINE_INPUT_REFUSED',
  'REMOTE_INPUT_REFUSED',
]

/** A function that says of a call's status whether its version failed. Codes that no table declares count as failures. */
export function createFailureTest(): (status: string) => boolean {
  const excused = new Set(['ok', ...NOT_CALLED])
  for (const { code, status } of declaredErrors()) if (status < 500) excused.add(code)
  for (const code of REFUSED_BY_VERSION) excused.delete(code)
  return (status) => !excused.has(status)
}
