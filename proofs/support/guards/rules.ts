// What decides a rollback: our guards, looked at after every event, and the rules that others use, looked at as they do.
import { alphaBudget, familyAlpha, GROSS_GUARD } from '../../../src/release/guards/budget.js'
import { GROSS_SHARE } from '../../../src/release/guards/counts.js'
import { HARM_PRIOR, RELIEF_PRIOR } from '../../../src/release/guards/judge.js'
import type { GuardSettings } from '../../../src/release/guards/settings.js'
import type { ArmCount } from '../../../src/release/guards/types.js'
import { BASELINE, CANDIDATE, KINDS, type Traffic, UNIT } from './traffic.js'

export interface Rollback {
  readonly minute: number
  /** Distinct units that the candidate had answered, the last one among them. */
  readonly units: number
  readonly guard: string
}

/** The martingale of src/stats, kept up event by event instead of from counts. `judge` on the counts must agree: see `armCounts`. */
class RunningCoin {
  private readonly logs: Float64Array
  constructor(
    private readonly limit: number,
    private readonly prior: typeof HARM_PRIOR,
    private readonly relative: number,
  ) {
    this.logs = Float64Array.from(prior.weights, Math.log)
  }

  /** True when the evidence reached the limit. */
  add(share: number, isCandidate: boolean): boolean {
    const { logs, prior, relative } = this
    const odds = (relative * share) / (1 - share)
    let total = 0
    for (let i = 0; i < logs.length; i++) {
      const multiple = prior.multiples[i]!
      logs[i]! += (isCandidate ? Math.log(multiple) : 0) - Math.log1p(((multiple - 1) * odds) / (1 + odds))
      total += Math.exp(logs[i]!)
    }
    return total >= this.limit
  }
}

export interface GuardRun {
  readonly rollback: Rollback | undefined
  /** Where it stopped: by step as well. */
  readonly counts: readonly ArmCount[]
}

/** Guards over the traffic until one fails, or the candidate has answered `maxUnits`. */
export function runGuards(
  traffic: Traffic,
  settings: GuardSettings,
  shareAt: (minute: number) => number,
  stepAt: (minute: number) => number,
  maxUnits = Number.POSITIVE_INFINITY,
): GuardRun {
  const specs = new Map(alphaBudget(settings).map((spec) => [spec.name, spec]))
  const coins = new Map<number, RunningCoin>()
  const tallies = new Map<string, { guard: string; step: number; arm: ArmCount['arm']; units: number }>()
  let units = 0
  const counts = () => [...tallies.values()]
  for (let i = 0; i < traffic.kind.length; i++) {
    const kind = traffic.kind[i]!
    const minute = traffic.minute[i]!
    if (kind === UNIT) {
      if (units === maxUnits) break
      units++
      continue
    }
    const spec = specs.get(KINDS[kind]!)
    const window = traffic.window[i]!
    const arm = traffic.arm[i]!
    if (spec === undefined || (window > 0 && !spec.hasWindows)) continue
    const isWithControl = spec.reference === 'control'
    if (isWithControl && arm === BASELINE) continue
    const key = 256 * kind + window
    let coin = coins.get(key)
    if (coin === undefined) {
      const alpha = familyAlpha(spec, window === 0 ? undefined : window)
      const isMore = spec.worse === 'more'
      coin = new RunningCoin(
        1 / alpha,
        isMore ? HARM_PRIOR : RELIEF_PRIOR,
        isMore ? spec.tolerance : 1 / spec.tolerance,
      )
      coins.set(key, coin)
    }
    const guard = window === 0 ? spec.name : `${spec.name}@${window}`
    tally(tallies, guard, stepAt(minute), (['candidate', 'control', 'baseline'] as const)[arm]!)
    const share = spec.name === GROSS_GUARD ? GROSS_SHARE : isWithControl ? 0.5 : shareAt(minute)
    if (coin.add(share, arm === CANDIDATE)) return { rollback: { minute, units, guard }, counts: counts() }
  }
  return { rollback: undefined, counts: counts() }
}

function tally(
  tallies: Map<string, { guard: string; step: number; arm: ArmCount['arm']; units: number }>,
  guard: string,
  step: number,
  arm: ArmCount['arm'],
): void {
  const key = `${guard} ${step} ${arm}`
  const found = tallies.get(key)
  if (found === undefined) tallies.set(key, { guard, step, arm, units: 1 })
  else found.units++
}

export interface RequestRule {
  readonly name: string
  readonly run: (traffic: Traffic) => number | undefined
}

/** Flagger's: each `everyMinutes` the candidate's success rate over them; fewer successes than `least`, or no request, fails a check. */
export function flagger(least: number, everyMinutes: number, maxFailed: number): RequestRule {
  return {
    name: `Flagger's rule (success >= ${100 * least} % each ${everyMinutes} min, ${maxFailed} failed checks)`,
    run: ({ requests, failed }) => {
      let bad = 0
      for (let to = everyMinutes; to <= requests[0].length; to += everyMinutes) {
        let all = 0
        let wrong = 0
        for (let at = to - everyMinutes; at < to; at++) {
          all += requests[0][at]!
          wrong += failed[0][at]!
        }
        if (all === 0 || 1 - wrong / all < least) bad++
        if (bad >= maxFailed) return to
      }
      return undefined
    },
  }
}

/** A z-test of two proportions on all requests so far of candidate and control, each minute, one-sided at `z`. */
export function repeatedZ(z: number): RequestRule {
  return {
    name: `z-test each minute (one-sided, z > ${z})`,
    run: ({ requests, failed }) => {
      const all = [0, 0]
      const wrong = [0, 0]
      for (let at = 0; at < requests[0].length; at++) {
        for (const arm of [0, 1]) {
          all[arm]! += requests[arm]![at]!
          wrong[arm]! += failed[arm]![at]!
        }
        const [n = 0, m = 0] = all
        if (n < 30 || m < 30) continue
        const pooled = (wrong[0]! + wrong[1]!) / (n + m)
        const difference = wrong[0]! / n - wrong[1]! / m
        if (difference > z * Math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) && difference > 0) return at + 1
      }
      return undefined
    },
  }
}

/** Candidate units that were seen by then. */
export function unitsBy({ kind, minute }: Traffic, until: number): number {
  let units = 0
  for (let i = 0; i < kind.length && minute[i]! <= until; i++) if (kind[i] === UNIT) units++
  return units
}
