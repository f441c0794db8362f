// Replays one trace on one scheduler, and counts what was answered in time.
import { settled } from '../../test/support/fake-backend.js'
import { Instance, type ModelCost } from './model.js'
import type { Arrival } from './traces.js'
import { VirtualClock } from './virtual-clock.js'

/** A request as a scheduler sees it. `limitMs` is what its client would send along. */
export interface Request {
  readonly rows: number
  readonly limitMs: number
  readonly arrivedMs: number
  /** To be called exactly once: with true when its rows were run, with false when it was refused or given up. */
  readonly answer: (isServed: boolean) => void
}

export interface Scheduler {
  submit(request: Request): void
  /** Called after each event, for what a real one does at the end of a turn of its event loop. */
  readonly turnEnd?: () => Promise<void>
}

export interface Bench {
  readonly clock: VirtualClock
  readonly instance: Instance
  readonly model: ModelCost
}

export type CreateScheduler = (bench: Bench) => Scheduler

export interface Outcome {
  readonly requests: number
  /** Answered within their limit. */
  readonly good: number
  readonly late: number
  /** Answered with an error, whenever. */
  readonly refused: number
  /** Requests answered within their limit, per second of the trace. */
  readonly goodput: number
  /** Share of requests not answered within their limit. */
  readonly misses: number
  readonly meanBatchRows: number
}

export async function replay(
  trace: readonly Arrival[],
  model: ModelCost,
  seed: number,
  create: CreateScheduler,
): Promise<Outcome> {
  const clock = new VirtualClock()
  const instance = new Instance(clock, model, seed)
  const scheduler = create({ clock, instance, model })
  const isAnswered = new Uint8Array(trace.length)
  let open = trace.length
  let good = 0
  let late = 0

  const arrive = (i: number): void => {
    const { rows, limitMs } = trace[i]!
    if (i + 1 < trace.length) clock.after(trace[i + 1]!.atMs - clock.monotonicMs(), () => arrive(i + 1))
    const arrivedMs = clock.monotonicMs()
    const answer = (isServed: boolean): void => {
      if (isAnswered[i] === 1) throw new Error(`Request ${i} was answered twice.`)
      isAnswered[i] = 1
      open--
      if (!isServed) return
      if (clock.monotonicMs() <= arrivedMs + limitMs) good++
      else late++
    }
    scheduler.submit({ rows, limitMs, arrivedMs, answer })
  }
  clock.after(trace[0]!.atMs, () => arrive(0))
  while (open > 0) {
    if (!clock.step()) throw new Error(`${open} of ${trace.length} requests were never answered.`)
    if (scheduler.turnEnd !== undefined) await scheduler.turnEnd()
  }
  const requests = trace.length
  return {
    requests,
    good,
    late,
    refused: requests - good - late,
    goodput: good / (trace.at(-1)!.atMs / 1000),
    misses: 1 - good / requests,
    meanBatchRows: instance.rows / instance.runs,
  }
}

/** Lets a scheduler made of promises go on until it waits for time. */
export async function settle(deferred: (() => void)[]): Promise<void> {
  do {
    for (const callback of deferred.splice(0)) callback()
    await settled()
  } while (deferred.length > 0)
}
