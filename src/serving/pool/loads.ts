// The loads that are due: one per version however many callers wait for it, so many at once, and each only when there is room. One that
// finds none waits for it a while; whom nobody waits for any more is left out.
import type { Clock, HeadraceError, Timer } from '../../core/index.js'
import type { Budget } from './budget.js'
import { type Choice, chooseVictims, coldestFirst, fits, type Ranked, type Resident, type Wanted } from './room.js'

/**
 * `preload`: before anybody asks; `call`: somebody waits; `new`: a newer version of a model that is in use; `asked`: a person or another
 * program wants it loaded; `restart`: its backend was lost.
 */
export type LoadReason = (typeof LOAD_REASONS)[number]

export const LOAD_REASONS = ['preload', 'call', 'new', 'asked', 'restart'] as const

/** A version that can be loaded. */
export interface Loadable extends Wanted {
  /** A caller waits for it. */
  readonly isWanted: boolean
  /** Loading it is no work for this process, and may wait for other loads: it takes no turn. */
  readonly isLight: boolean
}

export interface LoadsOptions<L extends Loadable, R extends Resident> {
  readonly clock: Clock
  readonly budget: Budget
  /** At once. */
  readonly maxLoads: number
  /** Of those, for which others were unloaded. */
  readonly maxSwaps: number
  residents(): Iterable<R>
  /** Unloads one to make room; its bytes count as free from here on. */
  evict(resident: R): void
  /** Resolve when what was unloaded, for whatever reason, really is. */
  leaving(): Iterable<Promise<void>>
  /** There is room, and the bytes are taken: loads it. Rejects with why not. */
  load(loadable: L, reason: LoadReason): Promise<void>
  /** Takes its bytes. */
  charge(loadable: L): void
  /** What those are told who find no room, or `waiting` loads before theirs. */
  full(loadable: L, waiting?: number): HeadraceError
  /** What it is told when nobody waits any more. */
  unwanted(loadable: L): HeadraceError
  waited(ms: number): void
}

interface Job<L extends Loadable> {
  readonly loadable: L
  readonly reason: LoadReason
  readonly sinceMs: number
  resolve(): void
  reject(error: unknown): void
}

/** Callers that find more loads waiting than that are turned away. */
const MAX_WAITING = 64
/** For room; then its callers are told that the pool is full. */
const LONGEST_WAIT_MS = 5_000
/** One who has waited so long for room is not overtaken by those who need less of it, if its own wait has an end. */
const PATIENCE_MS = 1_000
/** What is called all the time is unloaded for something colder at most this often. */
const HOT_PAUSE_MS = 1_000
/** Between looks for room: nobody says when a version falls idle. */
const LOOK_MS = 20

export class Loads<L extends Loadable, R extends Resident> {
  readonly #options: LoadsOptions<L, R>
  readonly #jobs = new Set<Job<L>>()
  #underWay = 0
  #swaps = 0
  #tookHotAtMs = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  /** During one look. */
  #coldest: readonly Ranked<R>[] | undefined

  constructor(options: LoadsOptions<L, R>) {
    this.#options = options
  }

  /** The caller sees to it that a version is here once. Rejects with what `load`, `full` and `unwanted` give. */
  add(loadable: L, reason: LoadReason): Promise<void> {
    if (reason === 'call' && this.#jobs.size >= MAX_WAITING)
      return Promise.reject(this.#options.full(loadable, this.#jobs.size))
    const sinceMs = this.#options.clock.monotonicMs()
    const loaded = new Promise<void>((resolve, reject) => {
      this.#jobs.add({ loadable, reason, sinceMs, resolve, reject })
    })
    this.#look()
    return loaded
  }

  /** Takes back what has not begun. */
  cancel(loadable: L): void {
    for (const job of this.#jobs) if (job.loadable === loadable) this.#refuse(job, this.#options.unwanted(loadable))
  }

  /** To be called when there may be more room. */
  look(): void {
    if (this.#jobs.size > 0) this.#look()
  }

  #look(): void {
    const nowMs = this.#options.clock.monotonicMs()
    let isHeld = false
    this.#coldest = undefined
    for (const job of this.#jobs) {
      if (this.#underWay >= this.#options.maxLoads && !job.loadable.isLight) continue
      const isNeedless = job.reason === 'call' && !job.loadable.isWanted
      if (isNeedless) this.#refuse(job, this.#options.unwanted(job.loadable))
      else if ((isHeld && takesOfShared(job.loadable)) || !this.#begin(job, nowMs)) {
        if (!this.#waits(job, nowMs)) this.#refuse(job, this.#options.full(job.loadable))
        else isHeld ||= job.reason !== 'new' && nowMs - job.sinceMs >= PATIENCE_MS
      }
    }
    this.#coldest = undefined
    if (this.#jobs.size > 0) this.#lookAgain()
  }

  #lookAgain(): void {
    this.#timer ??= this.#options.clock.after(LOOK_MS, () => {
      this.#timer = undefined
      this.look()
    })
  }

  /** What was to be loaded before anybody asks can as well be loaded when somebody does. */
  #waits({ loadable, reason, sinceMs }: Job<L>, nowMs: number): boolean {
    if (reason === 'preload' && !loadable.isWanted) return false
    return reason === 'new' || nowMs - sinceMs < LONGEST_WAIT_MS
  }

  #begin(job: Job<L>, nowMs: number): boolean {
    const { evict, charge } = this.#options
    const { loadable } = job
    const choice = this.#choose(loadable, nowMs)
    if (choice === undefined) return false
    if (choice.takesHot) this.#tookHotAtMs = nowMs
    this.#jobs.delete(job)
    if (!loadable.isLight) this.#underWay++
    const isSwap = choice.victims.length > 0
    if (isSwap) {
      this.#swaps++
      this.#coldest = undefined
    }
    for (const victim of choice.victims) evict(victim)
    charge(loadable)
    this.#options.waited(nowMs - job.sinceMs)
    void this.#carryOut(job, isSwap)
    return true
  }

  #choose(loadable: L, nowMs: number): Choice<R> | undefined {
    const { budget, residents, maxSwaps } = this.#options
    if (fits(loadable, budget)) return { victims: [], takesHot: false }
    if (this.#swaps >= maxSwaps) return undefined
    // Many may look for room at once among many, whose order is the same for all of them.
    this.#coldest ??= coldestFirst(residents(), nowMs)
    return chooseVictims(loadable, this.#coldest, budget, nowMs, nowMs - this.#tookHotAtMs >= HOT_PAUSE_MS)
  }

  async #carryOut(job: Job<L>, isSwap: boolean): Promise<void> {
    const { budget, leaving } = this.#options
    try {
      if (!budget.isFree) await Promise.all(leaving())
      await this.#options.load(job.loadable, job.reason)
      job.resolve()
    } catch (error) {
      job.reject(error)
    }
    if (!job.loadable.isLight) this.#underWay--
    if (isSwap) this.#swaps--
    this.look()
  }

  #refuse(job: Job<L>, error: HeadraceError): void {
    this.#jobs.delete(job)
    job.reject(error)
  }
}

/** What another may be waiting for. */
function takesOfShared({ group, bytes }: Wanted): boolean {
  return bytes > 0 && group.usedBytes + bytes > group.reservedBytes
}
