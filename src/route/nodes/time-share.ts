// How arms that are tried one after another share the time there is.
import { type CompiledNode, type Run, replyReserveMs } from '../machine.js'

/** Expected times are means: an arm that is kept time for gets so many of them. */
const EXPECTED_SHARES = 3

export interface TimedArm {
  readonly node: CompiledNode
  readonly timeoutMs: number | undefined
}

/**
 * When the arm at `index` has to end, so that each later arm still has time: what that arm asks for or is expected to take, at
 * most an equal share. Arms that answer at once need only the time to send the reply.
 */
export function armDeadlineMs(run: Run, deadlineMs: number, arms: readonly TimedArm[], index: number): number {
  const { timeoutMs } = arms[index]!
  const ownMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : run.nowMs + timeoutMs
  const leftMs = deadlineMs - run.nowMs
  const later = arms.length - 1 - index
  if (later === 0 || leftMs === Number.POSITIVE_INFINITY) return Math.min(ownMs, deadlineMs)
  const shareMs = leftMs / (later + 1)
  let reservedMs = replyReserveMs(leftMs)
  for (let i = index + 1; i < arms.length; i++) {
    const { node, timeoutMs: askedMs } = arms[i]!
    if (node.isInstant) continue
    const expectedMs = node.expectedMs(run)
    const wantedMs = askedMs ?? (expectedMs === undefined ? shareMs : expectedMs * EXPECTED_SHARES)
    reservedMs += Math.min(wantedMs, shareMs)
  }
  return Math.min(ownMs, run.nowMs + Math.max(leftMs - reservedMs, replyReserveMs(leftMs)))
}
