// Plans as people write them: `shadow:1h,canary:5%/30m,25%/30m,100%`. A step is its kind (canary when it says none), then what it is
// made of, divided by slashes: a share, how long it lasts, and for a shadow `skip`.
import { ReleaseErrors } from './errors.js'
import type { PlanStep, ReleasePlan, StepLength } from './types.js'

/** The plans every project has. */
export const BUILT_IN_PLANS: Readonly<Record<string, string>> = {
  instant: '100%',
  'blue-green': '100%/1h',
  standard: 'shadow:1d,canary:5%/7d,100%',
  critical: 'shadow:7d,canary:1%/1d,5%/7d,25%/1d,100%',
}

/** Units of a step that a release waits for at least, where the plan does not switch at once. */
export const DEFAULT_MIN_UNITS = 100

const MAX_STEPS = 50
const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/**
 * Reads a plan: a name among `named` and the built-in ones, or the steps themselves. A canary's share is in steps of 0.1 % and
 * grows; a length is a time (`30m`), a number of units (`2000u`) or both (`30m&2000u`); the last step is `100%`, and a length there
 * keeps the old version at hand for so long. Throws RELEASE_PLAN_INVALID.
 *
 *     parsePlan('shadow:1h/skip,canary:5%/30m&500u,25%/2000u,100%')
 */
export function parsePlan(given: string, named: Readonly<Record<string, string>> = {}): ReleasePlan {
  const trimmed = given.trim()
  const text = Object.hasOwn(named, trimmed) ? named[trimmed]! : (BUILT_IN_PLANS[trimmed] ?? trimmed)
  const name = text === trimmed ? undefined : trimmed
  const fail = (problem: string) => ReleaseErrors.PLAN_INVALID({ plan: given.slice(0, 200), problem })
  if (/^[a-z][\w-]*$/i.test(text) && text !== 'shadow' && text !== 'canary')
    throw fail(
      `no plan is named so; there are ${[...new Set([...Object.keys(BUILT_IN_PLANS), ...Object.keys(named)])].join(', ')}`,
    )
  const steps: PlanStep[] = []
  for (const part of text.split(',')) {
    let kind: PlanStep['kind'] = 'canary'
    const written = part.trim()
    const colon = written.indexOf(':')
    if (colon !== -1) {
      const said = written.slice(0, colon).trim()
      if (said !== 'shadow' && said !== 'canary')
        throw fail(`"${said}" is no kind of step; there are shadow and canary`)
      kind = said
    }
    steps.push(readStep(kind, written.slice(colon + 1), fail))
  }
  checkOrder(steps, fail)
  return { ...(name === undefined ? undefined : { name }), text, steps }
}

/** A plan that only switches: nobody has to have been seen before it goes on. */
export function isSwitch({ steps }: ReleasePlan): boolean {
  return steps.length === 1
}

/** Share of all units that the control has: the candidate's own while there is room, cut from the other end. */
export function controlWeight(weight: number): number {
  return weight <= 0.5 ? weight : thousandth(1 - weight)
}

/** `30m`, `2000u`, `30m&2000u`, or nothing. */
export function lengthText({ durationMs, units }: StepLength): string {
  const parts = [
    ...(durationMs === undefined ? [] : [durationText(durationMs)]),
    ...(units === undefined ? [] : [`${units}u`]),
  ]
  return parts.join('&')
}

/** One step in a person's words: `canary 5 % for 30m`. */
export function stepText(step: PlanStep): string {
  const length = lengthText(step.length)
  const share =
    step.kind === 'shadow' ? (step.sample === 1 ? '' : ` ${percent(step.sample)}`) : ` ${percent(step.weight)}`
  return `${step.kind}${share}${length === '' ? '' : ` for ${length}`}`
}

function readStep(kind: PlanStep['kind'], text: string, fail: (problem: string) => Error): PlanStep {
  let share: number | undefined
  let length: StepLength | undefined
  let maySkip = false
  for (const piece of text.split('/')) {
    const part = piece.trim()
    const percentage = /^([0-9]+(?:\.[0-9]+)?)\s*%$/.exec(part)
    if (percentage) {
      if (share !== undefined) throw fail(`"${text}" has two shares`)
      share = thousandth(Number(percentage[1]) / 100)
      if (!(share > 0 && share <= 1) || Math.abs(share * 1000 - Number(percentage[1]) * 10) > 1e-6)
        throw fail(`"${part}" is no share from 0.1 % to 100 % in steps of 0.1 %`)
    } else if (part === 'skip' && kind === 'shadow') maySkip = true
    else if (length !== undefined) throw fail(`"${text}" has two lengths; join them with "&"`)
    else length = readLength(part, fail)
  }
  if (kind === 'shadow') {
    return { kind, sample: share ?? 1, length: length ?? {}, ...(maySkip ? { maySkip } : undefined) }
  }
  if (share === undefined) throw fail(`the canary step "${text}" says no share, like 5%`)
  return { kind, weight: share, length: length ?? {} }
}

function readLength(text: string, fail: (problem: string) => Error): StepLength {
  let durationMs: number | undefined
  let units: number | undefined
  for (const piece of text.split('&')) {
    const match = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|u)$/.exec(piece.trim())
    if (!match)
      throw fail(
        `"${piece.trim()}" is neither a share like 5%, a time like 30m nor a number of units like 2000u${/^[0-9.]+$/.test(piece.trim()) ? '; a number needs its unit' : ''}`,
      )
    const amount = Number(match[1])
    if (match[2] === 'u') units = amount
    else durationMs = amount * UNITS_MS[match[2]!]!
  }
  if (units !== undefined && !(Number.isSafeInteger(units) && units > 0))
    throw fail(`"${text}" is no whole number of units`)
  if (durationMs !== undefined && !(durationMs > 0 && durationMs <= 366 * 86_400_000))
    throw fail(`"${text}" is not above nothing and at most a year`)
  return {
    ...(durationMs === undefined ? undefined : { durationMs }),
    ...(units === undefined ? undefined : { units }),
  }
}

function checkOrder(steps: readonly PlanStep[], fail: (problem: string) => Error): void {
  if (steps.length > MAX_STEPS) throw fail(`it has ${steps.length} steps; ${MAX_STEPS} are the most`)
  let weight = 0
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!
    const isLast = i === steps.length - 1
    if (!isLast && step.length.durationMs === undefined && step.length.units === undefined)
      throw fail(`step ${i + 1} (${stepText(step)}) does not say how long it lasts`)
    if (step.kind === 'shadow') {
      if (weight > 0) throw fail('a shadow stands after a canary step; units that have the candidate would lose it')
      continue
    }
    if (step.weight <= weight)
      throw fail(`step ${i + 1} (${stepText(step)}) does not give the candidate more than before`)
    weight = step.weight
  }
  if (weight !== 1) throw fail('its last step is not 100%')
}

/** A share in steps of 0.1 %. */
export function thousandth(share: number): number {
  return Math.round(share * 1000) / 1000
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`
}

function durationText(ms: number): string {
  for (const unit of ['w', 'd', 'h', 'm', 's'] as const) {
    const size = UNITS_MS[unit]!
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}
