// Which of those who wait to run now, when not all of them can make their deadlines in one full run; and whether a free slot should
// wait for more. Both answer the same question by the cost model: which choice lets more calls meet their deadlines?
import type { CostModel } from './cost-model.js'
import type { Member } from './member.js'

export interface ChoiceOptions {
  readonly nowMs: number
  /** Rows that a run may have. */
  readonly maxRows: number
  readonly cost: CostModel
  /** Rows that the backend is given for this many. */
  readonly sizeOf: (rows: number) => number
  readonly slots: number
  /** Rows that arrive per millisecond. */
  readonly rowsPerMs: number
}

/** Runs looked ahead: the one that is chosen and those after it. */
const LOOK_AHEAD_RUNS = 6
/** Members that would be late in a full run and are tried as the ones whose deadline decides. */
const MOST_TARGETS = 6
/** How far behind its prediction a run may be and still be in time, in spreads. */
const SAFETY_SPREADS = 0.5
/** A member is beyond help when even a run of its own, this many spreads faster than predicted, would come too late. */
const HOPE_SPREADS = 2

/** A timer may come this much late. */
const TIMER_SLACK_MS = 1

/** Rows to look at for a choice. */
export function rowsToWeigh(maxRows: number): number {
  return LOOK_AHEAD_RUNS * maxRows
}

/** The time a run is counted with where it must not come late. */
export function safeMs(cost: CostModel, rows: number): number {
  return cost.ms(rows) * (1 + SAFETY_SPREADS * cost.spread)
}

export function isHopeless(member: Member, { nowMs, cost, sizeOf }: ChoiceOptions): boolean {
  const soonestMs = cost.ms(sizeOf(member.rows)) * Math.max(0, 1 - HOPE_SPREADS * cost.spread)
  return member.deadline.atMs < nowMs + soonestMs
}

/**
 * The members to run now, from those that wait in their order: of a few sizes for this run the one with which most calls, in it and
 * in the runs after it, are in time. Empty when nobody can be.
 */
export function chooseMembers(order: readonly Member[], options: ChoiceOptions): Member[] {
  const { nowMs, maxRows, cost, sizeOf } = options
  let rows = 0
  for (let i = 0; i < order.length; i++) rows += order[i]!.rows
  const full = Math.min(maxRows, rows)
  const isIn = new Uint8Array(order.length)
  const price = priceOfMs(order.length / rows, options)
  let best = 0
  let bestWorth = Number.NEGATIVE_INFINITY
  const fullMs = nowMs + safeMs(cost, sizeOf(full))
  const tried: number[] = []
  const weigh = (target: number): void => {
    if (target <= 0 || tried.includes(target)) return
    tried.push(target)
    const worth = worthOf(order, target, isIn, options, price)
    if (worth <= bestWorth) return
    best = target
    bestWorth = worth
  }
  weigh(full)
  for (let i = 0; i < order.length && tried.length < MOST_TARGETS; i++) {
    const { atMs } = order[i]!.deadline
    if (atMs < fullMs) weigh(rowsWithin(atMs - nowMs, full, options))
  }
  // Between the sizes that deadlines ask for lie those that lose little speed and much time.
  for (let target = full >> 1; target > 0 && tried.length < 2 * MOST_TARGETS; target >>= 1) weigh(target)
  isIn.fill(0)
  takeInTime(order, best, nowMs, isIn, options)
  return order.filter((_, i) => isIn[i] === 1)
}

/** The most rows that a run may have to be done within this time; 0 when not even one is. */
function rowsWithin(ms: number, most: number, { cost, sizeOf }: ChoiceOptions): number {
  let low = 0
  let high = most
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (safeMs(cost, sizeOf(middle)) <= ms) low = middle
    else high = middle - 1
  }
  return low
}

/** Calls in time if the run to start now has up to `target` rows, less what its time is worth to calls still to come. */
function worthOf(
  order: readonly Member[],
  target: number,
  isIn: Uint8Array,
  options: ChoiceOptions,
  price: number,
): number {
  const { nowMs, maxRows, cost, sizeOf, slots } = options
  isIn.fill(0)
  let atMs = nowMs
  let inTime = 0
  let size = target
  for (let run = 0; run < LOOK_AHEAD_RUNS && size > 0; run++) {
    const rows = takeInTime(order, size, atMs, isIn, options)
    if (rows === 0) {
      // Nobody has the time for a run of this size.
      if (run === 0) return Number.NEGATIVE_INFINITY
      size >>= 1
      continue
    }
    // With several slots the next run starts before this one ends.
    atMs += cost.ms(sizeOf(rows)) / slots
    size = maxRows
  }
  for (let i = 0; i < isIn.length; i++) inTime += isIn[i]!
  return inTime - price * (atMs - nowMs)
}

/** Marks, in their order, members who are in time in a run of this size that starts then. Returns its rows. */
function takeInTime(
  order: readonly Member[],
  size: number,
  startMs: number,
  isIn: Uint8Array,
  { cost, sizeOf }: ChoiceOptions,
): number {
  const endMs = startMs + safeMs(cost, sizeOf(size))
  let rows = 0
  for (let i = 0; i < order.length; i++) {
    const member = order[i]!
    if (isIn[i] === 1 || member.deadline.atMs < endMs) continue
    if (rows + member.rows > size) continue
    isIn[i] = 1
    rows += member.rows
    if (rows >= size) break
  }
  return rows
}

/** Calls that a millisecond of the backend could serve instead: nothing while it has time to spare, all it can when it has none. */
function priceOfMs(callsPerRow: number, { maxRows, cost, sizeOf, slots, rowsPerMs }: ChoiceOptions): number {
  const fastest = maxRows / Math.max(1e-6, cost.ms(sizeOf(maxRows)))
  const load = rowsPerMs / (fastest * slots)
  return Math.max(0, Math.min(1, (load - 0.9) / 0.2)) * fastest * callsPerRow
}

export interface HoldOptions extends ChoiceOptions {
  /** Rows that wait and the soonest of their deadlines. */
  readonly rows: number
  readonly soonestMs: number
  /** What calls usually leave until their deadlines. */
  readonly leftMs: number
  readonly maxDelayMs: number
}

/**
 * How long a free slot should wait for more calls; 0, unless fewer of them will be late for it. Calls that arrive while a run is
 * under way and cannot wait for its end and a run of their own are late. When there are such calls, fewer and larger runs leave fewer
 * of them, as long as those who wait can spare the time and a larger run takes little longer.
 */
export function holdMs(options: HoldOptions): number {
  const { rows, soonestMs, leftMs, maxDelayMs, nowMs, cost, sizeOf, maxRows, rowsPerMs } = options
  if (2 * cost.ms(sizeOf(rows)) <= leftMs) return 0
  const mostRows = Math.min(maxRows, Math.ceil(rows + rowsPerMs * maxDelayMs))
  const most = Math.min(maxDelayMs, soonestMs - nowMs - safeMs(cost, sizeOf(mostRows)) - TIMER_SLACK_MS)
  const waitMs = Math.min(most, (maxRows - rows) / Math.max(1e-9, rowsPerMs))
  const more = rowsPerMs * waitMs
  if (waitMs <= 0 || more < 0.5) return 0
  const lateNow = latePerRow(rows, leftMs, options)
  return latePerRow(rows + more, leftMs, options) < 0.9 * lateNow ? waitMs : 0
}

function latePerRow(rows: number, leftMs: number, { cost, sizeOf, rowsPerMs }: HoldOptions): number {
  const ms = cost.ms(sizeOf(Math.ceil(rows)))
  return (rowsPerMs * Math.max(0, Math.min(ms, 2 * ms - leftMs))) / rows
}
