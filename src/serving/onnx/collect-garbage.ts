// The bytes of a file that was loaded are garbage, and a thread that only runs sessions makes so little else of it that its collector
// never comes: a model of 100 MB kept 220 MB resident (2026-11-22). So it is called.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Less than this is not worth the few milliseconds. */
const LARGE_BYTES = 8 * 1024 * 1024

/** Soon, when what was just loaded is out of everybody's hands. */
export function collectAfterLoad(fileBytes: number): void {
  if (fileBytes < LARGE_BYTES) return
  setImmediate(() => collector()())
}

let collect: (() => void) | undefined

function collector(): () => void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  return collect
}
