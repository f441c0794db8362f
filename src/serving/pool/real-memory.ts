// Looks at what the process really takes, because a budget is kept in estimates: when it is far more than the budget explains, versions
// are unloaded until it is not. Memory that does not come back is no reason to go on unloading.
import type { Platform, Stop, Timer } from '../../core/index.js'
import type { Budget } from './budget.js'

const LOOK_MS = 5_000
/** Over the budget and what the process took before it held any version. */
const SLACK_RATIO = 0.25
const SLACK_BYTES = 128 * 2 ** 20
/** Looks in a row that must find too much, and unloads in a row that may bring nothing. */
const LOOKS = 2
const MAX_VAIN = 3

/** `evictOne` unloads one version, and says whether there was one. */
export function watchRealMemory(
  residentBytes: (() => number) | undefined,
  budget: Budget,
  { clock, logger }: Platform,
  evictOne: () => boolean,
): Stop {
  if (residentBytes === undefined || !Number.isFinite(budget.bytes)) return () => {}
  const limitBytes = residentBytes() + budget.bytes * (1 + SLACK_RATIO) + SLACK_BYTES
  let tooMuch = 0
  let vain = 0
  let lastBytes = 0
  let timer: Timer

  function look(): void {
    const bytes = residentBytes!()
    if (bytes <= limitBytes) {
      tooMuch = 0
      vain = 0
    } else if (++tooMuch >= LOOKS && vain < MAX_VAIN) {
      if (tooMuch > LOOKS) vain = bytes < lastBytes ? 0 : vain + 1
      lastBytes = bytes
      const hasEvicted = evictOne()
      logger.warn(
        { bytes, limitBytes, hasEvicted },
        'the process takes more memory than its budget for models explains',
      )
    }
    timer = clock.after(LOOK_MS, look)
  }

  timer = clock.after(LOOK_MS, look)
  return () => timer.cancel()
}
