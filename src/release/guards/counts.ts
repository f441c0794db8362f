// From rows of the store to coins: which arms a guard compares, and what the candidate's share among them is.
import type { PlanStep } from '../types.js'
import { alphaBudget, GROSS_GUARD, parseGuard } from './budget.js'
import type { GuardSettings } from './settings.js'
import type { ArmCount, GuardCounts, GuardThresholds } from './types.js'

/** Least share of failing units that the last step, without a control, is held to. */
export const GROSS_SHARE = 0.2

/**
 * Counts of distinct units by guard, step and arm as `judge` takes them. Errors are compared with all of the champion at the step's
 * share (unless settings say `control`), everything else with the equal control. Rows of guards that settings no longer name are left out.
 */
export function guardCounts(
  rows: readonly ArmCount[],
  steps: readonly PlanStep[],
  settings: GuardSettings,
  thresholds?: GuardThresholds,
): GuardCounts[] {
  const specs = new Map(alphaBudget(settings).map((spec) => [spec.name, spec]))
  const counts = new Map<string, { guard: string; step: number; share: number; candidate: number; reference: number }>()
  for (const { guard, step, arm, units } of rows) {
    const spec = specs.get(parseGuard(guard).guard)
    const plan = steps[step]
    if (spec === undefined || plan?.kind !== 'canary') continue
    const isGross = spec.name === GROSS_GUARD
    if ((plan.weight === 1) !== isGross) continue
    if (spec.reference === 'control' && arm === 'baseline') continue
    const key = `${step} ${guard}`
    let count = counts.get(key)
    if (count === undefined) {
      const share = isGross ? grossShare(thresholds) : spec.reference === 'control' ? 0.5 : plan.weight
      count = { guard, step, share, candidate: 0, reference: 0 }
      counts.set(key, count)
    }
    if (arm === 'candidate') count.candidate += units
    else count.reference += units
  }
  return [...counts.values()]
}

/** Twice what failed of the champion before the switch, and never below a fifth. */
function grossShare(thresholds: GuardThresholds | undefined): number {
  return Math.min(0.9, Math.max(GROSS_SHARE, 2 * (thresholds?.failingShare ?? 0)))
}
