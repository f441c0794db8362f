// The error budget: alpha over all guards and all looks of a release, by the union bound. Errors have half of it; the rest is shared
// equally. Within a guard that is also judged afresh in each window, windows have a fifth, in parts 1 / (k (k + 1)) that sum to 1.
import type { GuardSettings, GuardSpec } from './settings.js'

/** Of the guards for outputs, a number uses the first three, labels the next three; both know `outputs-invalid`. */
export const OUTPUT_GUARDS = [
  'outputs-low',
  'outputs-middle',
  'outputs-high',
  'outputs-top',
  'outputs-rest',
  'outputs-unseen',
  'outputs-invalid',
] as const

/** Watches the last step, where no champion serves beside the candidate: judged in windows only. */
export const GROSS_GUARD = 'gross'

const ERRORS_PART = 0.5
const WINDOWS_PART = 0.2

/** Every guard that these settings ask for; the `alpha` of all of them sum to at most `settings.alpha`. */
export function alphaBudget(settings: GuardSettings): GuardSpec[] {
  const { errors, latency, outputs, cost, outcomes } = settings
  type Unpaid = Omit<GuardSpec, 'alpha'>
  const rest: Unpaid[] = [
    { name: GROSS_GUARD, tolerance: 1, harm: 2, worse: 'more', reference: 'champion', hasWindows: true },
    ...latency.quantiles.map((q): Unpaid => ({ ...compared(latencyGuard(q), latency), hasWindows: true })),
    ...(outputs.enabled ? OUTPUT_GUARDS : []).map((name) => compared(name, outputTolerance(name, outputs))),
    ...(cost.enabled ? [compared('cost', cost)] : []),
    ...Object.entries(outcomes).map(([name, outcome]) => ({
      ...compared(`outcome:${name}`, outcome),
      worse: outcome.worse,
    })),
  ]
  const half = settings.alpha * (1 - ERRORS_PART)
  return [
    {
      name: 'errors',
      alpha: settings.alpha * ERRORS_PART,
      tolerance: errors.tolerance,
      harm: errors.harm,
      worse: 'more',
      reference: errors.reference ?? 'champion',
      hasWindows: true,
    },
    ...rest.map((guard) => ({ ...guard, alpha: half / rest.length })),
  ]
}

/** What one family of a guard may spend: the whole release (`window` undefined), or the k-th window since its start, from 1. */
export function familyAlpha(spec: GuardSpec, window: number | undefined): number {
  if (!spec.hasWindows) return window === undefined ? spec.alpha : 0
  const isGross = spec.name === GROSS_GUARD
  if (window === undefined) return isGross ? 0 : spec.alpha * (1 - WINDOWS_PART)
  return (spec.alpha * (isGross ? 1 : WINDOWS_PART)) / (window * (window + 1))
}

/** `latency-p99`, `latency-p99.9` */
export function latencyGuard(quantile: number): string {
  return `latency-p${Number((quantile * 100).toPrecision(10))}`
}

/** `errors@3` is the guard `errors` in its third window. */
export function parseGuard(name: string): { readonly guard: string; readonly window: number | undefined } {
  const at = name.lastIndexOf('@')
  const window = at < 0 ? Number.NaN : Number(name.slice(at + 1))
  return Number.isInteger(window) ? { guard: name.slice(0, at), window } : { guard: name, window: undefined }
}

function compared(name: string, { tolerance, harm }: { tolerance: number; harm: number }): Omit<GuardSpec, 'alpha'> {
  return { name, tolerance, harm, worse: 'more', reference: 'control', hasWindows: false }
}

/** What most answers are (four fifths lie between the deciles) cannot double: a tenth more of it counts as the tolerance there. */
function outputTolerance(name: string, outputs: GuardSettings['outputs']): { tolerance: number; harm: number } {
  const isCommon = name === 'outputs-middle' || name === 'outputs-top'
  return isCommon ? { tolerance: Math.min(outputs.tolerance, 1.1), harm: 1.25 } : outputs
}
