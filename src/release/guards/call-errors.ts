// Which calls count as failures of the version that was called: 5xx-like codes, timeouts among them. A caller's mistake (4xx), a full
// queue (429) and a cancelled call (499) say nothing of the version, and neither do codes of calls that never reached it.
import { declaredErrors } from '../../core/index.js'
// For their tables of codes: a process that reads the log may have called nothing itself.
import '../../path/index.js'
import '../../serving/index.js'

/** Never reached: an open circuit in particular would turn the failures of one broken user into failures of all. */
const NOT_CALLED = ['ROUTE_CIRCUIT_OPEN', 'ROUTE_NO_LAST_KNOWN', 'PATH_DRAINING']

/** A function that says of a call's status whether its version failed. Codes that no table declares count as failures. */
export function createFailureTest(): (status: string) => boolean {
  const excused = new Set(['ok', ...NOT_CALLED])
  for (const { code, status } of declaredErrors()) if (status < 500) excused.add(code)
  return (status) => !excused.has(status)
}
