// Whom to unload so that another version fits: those that are called least, as few as do. Never one that is in use, and not one that
// came a moment ago (unless what wants its place is called far more often) or is called all the time: whoever wants in then waits, and
// what is loaded goes on in peace.
import type { Budget, Group } from './budget.js'
import type { Use } from './use.js'

/** A version that is loaded, as the choice sees it. */
export interface Resident {
  readonly group: Group
  readonly chargedBytes: number
  readonly isPinned: boolean
  readonly use: Use
  /** Calls are queued or running. */
  readonly isBusy: boolean
  /** Not unloaded for others before that monotonic time. */
  readonly staysUntilMs: number
}

export interface Wanted {
  readonly group: Group
  readonly bytes: number
  readonly use: Use
}

/** With the calls per second that are to be expected of it. */
export interface Ranked<R extends Resident> {
  readonly resident: R
  readonly rate: number
}

export interface Choice<R extends Resident> {
  readonly victims: readonly R[]
  /** One of them is called more often than what comes in its place. */
  readonly takesHot: boolean
}

/** Called at least so often: unloading it would be felt. */
const HOT_PER_SECOND = 0.2
/** And so many times as often as what would come in its place. */
const HOTTER = 2
/** What is called so many times as often as one that came a moment ago need not wait until that one has stayed its time. */
const FAR_HOTTER = 10

/** Whether there is room without unloading anything. */
export function fits({ group, bytes }: Wanted, budget: Budget): boolean {
  return budget.excessBytes(new Map([[group, bytes]])) <= 0
}

/** Undefined: there is no room now. */
export function chooseVictims<R extends Resident>(
  wanted: Wanted,
  coldest: readonly Ranked<R>[],
  budget: Budget,
  nowMs: number,
  mayTakeHot: boolean,
): Choice<R> | undefined {
  const change = new Map<Group, number>([[wanted.group, wanted.bytes]])
  const wantedRate = wanted.use.ratePerSecond(nowMs)
  const hotRate = Math.max(HOT_PER_SECOND, HOTTER * wantedRate)
  const victims: R[] = []
  let takesHot = false
  for (const { resident, rate } of coldest) {
    const stays = nowMs < resident.staysUntilMs && rate * FAR_HOTTER > wantedRate
    if (stays || resident.isBusy || !helps(resident, change)) continue
    if (rate >= hotRate) {
      if (!mayTakeHot) return undefined
      takesHot = true
    }
    victims.push(resident)
    add(change, resident.group, -resident.chargedBytes)
    if (budget.excessBytes(change) <= 0) return { victims: withoutNeedless(victims, change, budget), takesHot }
  }
  return undefined
}

/** What must go because more is used than there is: versions turned out larger than was thought. As much as can go now. */
export function chooseSurplus<R extends Resident>(residents: Iterable<R>, budget: Budget, nowMs: number): R[] {
  const change = new Map<Group, number>()
  const victims: R[] = []
  if (budget.excessBytes() <= 0) return victims
  for (const { resident } of coldestFirst(residents, nowMs)) {
    if (resident.isBusy || !helps(resident, change)) continue
    victims.push(resident)
    add(change, resident.group, -resident.chargedBytes)
    if (budget.excessBytes(change) <= 0) break
  }
  return withoutNeedless(victims, change, budget)
}

export function coldestFirst<R extends Resident>(residents: Iterable<R>, nowMs: number): Ranked<R>[] {
  const list: Ranked<R>[] = []
  for (const resident of residents)
    if (!resident.isPinned) list.push({ resident, rate: resident.use.ratePerSecond(nowMs) })
  return list.sort((a, b) => a.rate - b.rate || a.resident.use.lastMs - b.resident.use.lastMs)
}

/** What a reservation holds within its bytes is in nobody's way. */
function helps({ group }: Resident, change: ReadonlyMap<Group, number>): boolean {
  return group.usedBytes + (change.get(group) ?? 0) > group.reservedBytes
}

function add(change: Map<Group, number>, group: Group, bytes: number): void {
  change.set(group, (change.get(group) ?? 0) + bytes)
}

/** A large one that was chosen last may make those before it needless. */
function withoutNeedless<R extends Resident>(victims: readonly R[], change: Map<Group, number>, budget: Budget): R[] {
  const needed: R[] = []
  for (let i = victims.length - 1; i >= 0; i--) {
    const victim = victims[i]!
    add(change, victim.group, victim.chargedBytes)
    if (budget.excessBytes(change) <= 0) continue
    add(change, victim.group, -victim.chargedBytes)
    needed.push(victim)
  }
  return needed
}
