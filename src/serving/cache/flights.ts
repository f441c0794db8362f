// Identical calls in flight share one run. Each caller keeps their own deadline and may go away by themselves: the run goes on as
// long as anybody waits, and when it fails because its caller ran out of time, somebody with more time takes over.
import { type Clock, type HeadraceError, toHeadraceError, type VersionRef } from '../../core/index.js'
import type { Deadline } from '../../flow/index.js'
import type { TensorMap } from '../../tensor/index.js'
import { Alarm, isDue } from '../alarm.js'
import { ServingErrors } from '../errors.js'
import type { VersionStatistics } from '../statistics.js'
import type { Leaf, LeafInput, LeafResult } from '../types.js'
import { Flight, FlightInput, outranks, priorityOf, Waiter } from './flight.js'
import type { SharedAnswer } from './shared-tier.js'

export interface FlightsOptions {
  readonly version: VersionRef
  readonly clock: Clock
  /** Makes the runs. */
  readonly inner: Leaf
  /** Counts those who are not answered by a run of their own; the leaf behind counts its runs. */
  readonly statistics: VersionStatistics
  /** Asks the processes that share answers; undefined: there are none. */
  readonly lookup: ((key: string, waitMs: number) => Promise<SharedAnswer>) | undefined
  /** Takes another process's answer in and returns it; undefined when it is of no use. */
  readonly adopt: (flight: Flight, bytes: Uint8Array) => TensorMap | undefined
  /** Nobody else has the answer: a run begins. */
  readonly asked: () => void
  /** Keeps the answer of a run. */
  readonly keep: (flight: Flight, result: LeafResult, costMs: number) => void
}

export class Flights {
  readonly #options: FlightsOptions
  readonly #flights = new Map<string, Flight>()
  readonly #alarm: Alarm
  readonly #idle: (() => void)[] = []

  constructor(options: FlightsOptions) {
    this.#options = options
    this.#alarm = new Alarm(options.clock, (nowMs) => this.#expire(nowMs))
  }

  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /** Waits for the answer to a key, computing it unless that is under way. */
  call(key: string, hash: number, input: LeafInput, deadline: Deadline): Promise<LeafResult> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(input, deadline, this.#options.clock.monotonicMs(), resolve, reject)
      const running = this.#flights.get(key)
      if (running !== undefined) this.#join(running, waiter)
      else {
        const flight = this.#begin(key, hash, false)
        flight.add(waiter)
        if (this.#options.lookup === undefined) this.#ask(flight)
        else void this.#askOthers(flight, this.#options.lookup, deadline.remainingMs())
      }
      this.#alarm.by(deadline.atMs)
    })
  }

  /** Computes the answer to a key anew while nobody waits for it. */
  refresh(key: string, hash: number, input: LeafInput, deadline: Deadline): void {
    const flight = this.#begin(key, hash, true)
    flight.feedsLastKnown = input.feedsLastKnown !== false
    this.#run(flight, new FlightInput(input, 'low'), deadline)
  }

  dropCancelled(): void {
    const { model } = this.#options.version
    for (const flight of this.#flights.values()) {
      const ends = ({ input }: Waiter) => (input.cancelled === true ? ServingErrors.CANCELLED({ model }) : undefined)
      this.#turnAway(flight, 0, ends)
      this.#endIfAlone(flight)
    }
  }

  /** Resolves when nothing is in flight. */
  async settle(): Promise<void> {
    if (this.#flights.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #begin(key: string, hash: number, isRefresh: boolean): Flight {
    const flight = new Flight(key, hash, isRefresh)
    this.#flights.set(key, flight)
    return flight
  }

  #join(flight: Flight, waiter: Waiter): void {
    flight.add(waiter)
    const { run } = flight
    if (run === undefined || !outranks(priorityOf(waiter.input), run.priority)) return
    // Behind a run of lower priority one would wait as if one had that priority: a run of its own overtakes it.
    run.cancelled = true
    this.#lead(flight)
  }

  async #askOthers(flight: Flight, lookup: NonNullable<FlightsOptions['lookup']>, waitMs: number): Promise<void> {
    const shared = await lookup(flight.key, waitMs)
    if (shared.kind === 'lead') {
      if (flight.isOver) shared.publish(undefined, 0)
      else {
        flight.publish = shared.publish
        this.#ask(flight)
      }
      return
    }
    if (flight.isOver) return
    const outputs = this.#options.adopt(flight, shared.bytes)
    if (outputs === undefined) {
      this.#ask(flight)
      return
    }
    const nowMs = this.#options.clock.monotonicMs()
    this.#end(flight)
    for (const [i, { arrivedMs, resolve }] of flight.waiters.entries()) {
      this.#options.statistics.hit(nowMs - arrivedMs)
      resolve({
        outputs,
        queueMs: nowMs - arrivedMs,
        computeMs: 0,
        batchRows: 0,
        cached: i === 0 ? 'hit' : 'coalesced',
      })
    }
  }

  #ask(flight: Flight): void {
    this.#options.asked()
    this.#lead(flight)
  }

  /** Runs the request of whoever can wait longest, at the highest priority of all. */
  #lead(flight: Flight): void {
    const leader = flight.patient()!
    this.#run(flight, new FlightInput(leader.input, flight.priority()), leader.deadline)
  }

  #run(flight: Flight, run: FlightInput, deadline: Deadline): void {
    const startedMs = this.#options.clock.monotonicMs()
    flight.run = run
    this.#options.inner.call(run, deadline).then(
      (result) => this.#succeeded(flight, result, startedMs),
      (error: unknown) => this.#failed(flight, run, deadline, toHeadraceError(error)),
    )
  }

  /** The first answer is everybody's, also one of a run that was overtaken. One that nobody waits for any more is still kept. */
  #succeeded(flight: Flight, result: LeafResult, startedMs: number): void {
    if (!flight.isOver) {
      this.#end(flight)
      this.#answer(flight, result, startedMs)
    }
    this.#options.keep(flight, result, this.#options.clock.monotonicMs() - startedMs)
  }

  #answer({ waiters, isRefresh }: Flight, result: LeafResult, startedMs: number): void {
    const { outputs, computeMs, batchRows } = result
    const runMs = startedMs + result.queueMs
    const nowMs = this.#options.clock.monotonicMs()
    for (let i = 0; i < waiters.length; i++) {
      const { arrivedMs, resolve } = waiters[i]!
      if (i === 0 && !isRefresh) resolve(result)
      else {
        this.#options.statistics.hit(nowMs - arrivedMs)
        resolve({ outputs, queueMs: Math.max(0, runMs - arrivedMs), computeMs, batchRows, cached: 'coalesced' })
      }
    }
  }

  #failed(flight: Flight, run: FlightInput, deadline: Deadline, error: HeadraceError): void {
    if (flight.isOver || flight.run !== run) return
    if (OUT_OF_TIME.has(error.code)) {
      const nowMs = this.#options.clock.monotonicMs()
      const heir = flight.patient()
      if (heir !== undefined && heir.deadline.atMs > deadline.atMs && !isDue(heir.deadline.atMs, nowMs)) {
        this.#turnAway(flight, 1, (waiter) => (waiter.deadline.atMs <= deadline.atMs ? error : undefined))
        this.#lead(flight)
        return
      }
    }
    this.#end(flight)
    flight.publish?.(undefined, 0)
    this.#turnAway(flight, flight.isRefresh ? 0 : 1, () => error)
  }

  #expire(nowMs: number): void {
    const { model, version } = this.#options.version
    let nextMs = Number.POSITIVE_INFINITY
    for (const flight of this.#flights.values()) {
      this.#turnAway(flight, 0, ({ deadline, arrivedMs }) => {
        if (isDue(deadline.atMs, nowMs)) {
          const waitedMs = Math.round(nowMs - arrivedMs)
          return ServingErrors.DEADLINE_EXCEEDED({ model, version, waitedMs, phase: 'queued' })
        }
        nextMs = Math.min(nextMs, deadline.atMs)
        return undefined
      })
      this.#endIfAlone(flight)
    }
    this.#alarm.by(nextMs)
  }

  /** So many of those for whom `ends` has an error were counted by the leaf behind, with the run that failed. */
  #turnAway(flight: Flight, counted: number, ends: (waiter: Waiter) => HeadraceError | undefined): void {
    const nowMs = this.#options.clock.monotonicMs()
    let uncounted = -counted
    flight.release((waiter) => {
      const error = ends(waiter)
      if (error !== undefined && ++uncounted > 0) this.#options.statistics.failed(error.code, nowMs - waiter.arrivedMs)
      return error
    })
  }

  #endIfAlone(flight: Flight): void {
    if (flight.waiters.length > 0 || flight.isRefresh) return
    if (flight.run !== undefined) flight.run.cancelled = true
    this.#end(flight)
    flight.publish?.(undefined, 0)
  }

  #end(flight: Flight): void {
    flight.isOver = true
    this.#flights.delete(flight.key)
    if (this.#flights.size === 0) for (const idle of this.#idle.splice(0)) idle()
  }
}

/** Failures of a run that say only that its caller had too little time. */
const OUT_OF_TIME: ReadonlySet<string> = new Set(['SERVING_DEADLINE_EXCEEDED', 'SERVING_OVERLOADED'])
