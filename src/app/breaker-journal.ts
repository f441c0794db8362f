// Circuits act first and are written down afterwards, off the request path. One that opens and closes all the time is written down
// at most once in a while, in the state it has then.
import { type Platform, type Timer, type VersionRef, versionKey } from '../core/index.js'
import type { Actor, Change, Evidence } from '../decisions/index.js'
import { type BreakerChange, breakerChange } from '../path/index.js'

/** Least time between two decisions about one version. */
const QUIET_MS = 10_000

const CIRCUIT: Actor = { kind: 'rule', name: 'circuit' }

interface Entry {
  readonly version: VersionRef
  isOpen: boolean
  /** As the last decision has it. */
  isWrittenOpen: boolean
  changes: number
  timer: Timer | undefined
}

export function createBreakerJournal(
  { clock, logger }: Platform,
  decide: (change: Change, evidence: Evidence, by: Actor) => Promise<unknown>,
): (change: BreakerChange) => void {
  const entries = new Map<string, Entry>()

  function write(entry: Entry): void {
    entry.timer = undefined
    if (entry.isOpen === entry.isWrittenOpen) return
    entry.isWrittenOpen = entry.isOpen
    const { changes } = entry
    entry.changes = 0
    entry.timer = clock.after(QUIET_MS, () => write(entry))
    decide(breakerChange(entry.version, entry.isOpen), { changes }, CIRCUIT).catch((error: unknown) => {
      // The circuit does what it does whether or not the metadata store is there to hear of it.
      logger.warn({ err: error, version: versionKey(entry.version) }, 'a circuit changed; the decision was not written')
    })
  }

  return ({ version, state }) => {
    // A probe on its way changes nothing for callers yet.
    if (state === 'half-open') return
    const key = versionKey(version)
    let entry = entries.get(key)
    if (!entry) {
      entry = { version, isOpen: false, isWrittenOpen: false, changes: 0, timer: undefined }
      entries.set(key, entry)
    }
    entry.isOpen = state === 'open'
    entry.changes++
    const changed = entry
    entry.timer ??= clock.after(0, () => write(changed))
  }
}
