// Whether the decisions of a release are a way that a release can go, and its row one that a leader can have written.
import type { ReleasePlan } from '../../../src/release/index.js'
import type { SeenDecision, SeenRow } from './observer.js'
import type { Asked } from './turmoil.js'

export interface Course {
  readonly failures: string[]
  readonly state: string
  /** When it was over at the latest, and at the earliest; infinite while it is not. */
  readonly overMs: number
  readonly endedMs: number
  /** When the new version became the old one; infinite when it never did. */
  readonly completedMs: number
}

/** Timers fire late, and numbers are rounded; never early by more. */
const SLACK_MS = 60

export function checkDecisions(id: string, plan: ReleasePlan, all: readonly SeenDecision[]): Course {
  const failures: string[] = []
  const decisions = all.filter(({ detail }) => detail['release'] === id)
  let state = 'none'
  let step = 0
  let revision = 0
  let term = 0
  let stepMs = 0
  let pausedMs = 0
  let pausedAtMs = 0
  let overMs = Number.POSITIVE_INFINITY
  let endedMs = Number.POSITIVE_INFINITY
  let completedMs = Number.POSITIVE_INFINITY
  const isActive = () => state === 'running' || state === 'paused'
  for (const decision of decisions) {
    const { kind, number, detail, timeMs, seenMs, isUndo } = decision
    const fail = (problem: string) => failures.push(`decision ${number} (${kind}): ${problem}`)
    if (typeof detail['revision'] === 'number' && detail['revision'] !== revision)
      fail(`was made at revision ${detail['revision']}, and it was ${revision}`)
    if (typeof detail['term'] === 'number') {
      if (detail['term'] < term) fail(`of term ${detail['term']} after one of term ${term}`)
      term = Math.max(term, detail['term'])
    }
    const isRule = decision.by.startsWith('rule:')
    if (isUndo) {
      if (kind !== 'release.complete' || state !== 'completed') fail(`undone while ${state}`)
      state = 'rolled-back'
      endedMs = timeMs
      overMs = seenMs
      revision++
      continue
    }
    if (kind === 'release.start' ? state !== 'none' : !isActive()) fail(`made while it was ${state}`)
    switch (kind) {
      case 'release.start':
        state = 'running'
        stepMs = timeMs
        break
      case 'release.pause':
        if (state !== 'running') fail(`made while it was ${state}`)
        state = 'paused'
        pausedAtMs = timeMs
        break
      case 'release.resume':
        if (state !== 'paused') fail(`made while it was ${state}`)
        state = 'running'
        pausedMs += timeMs - pausedAtMs
        break
      case 'release.step':
      case 'release.promote':
        if (step + 1 >= plan.steps.length) fail(`there is no step after step ${step}`)
        if (kind === 'release.step') checkTime(decision, fail)
        step++
        stepMs = timeMs
        pausedMs = 0
        pausedAtMs = timeMs
        break
      case 'release.complete':
        if (isRule && step !== plan.steps.length - 1) fail(`made by the rule in step ${step}`)
        if (isRule) checkTime(decision, fail)
        state = 'completed'
        completedMs = timeMs
        break
      case 'release.abort':
      case 'release.rollback':
        state = kind === 'release.abort' ? 'aborted' : 'rolled-back'
        endedMs = timeMs
        overMs = seenMs
        break
      default:
        fail('is none that a release has')
    }
    revision++
  }
  return { failures, state, overMs, endedMs, completedMs }

  /** The step lasted as long as the plan says, and no more time was counted than had passed. */
  function checkTime({ timeMs, evidence, detail }: SeenDecision, fail: (problem: string) => void): void {
    if (state !== 'running') fail(`made by the rule while ${state}`)
    if (typeof detail['term'] !== 'number') fail('made by the rule without a term')
    const passedMs = timeMs - stepMs - pausedMs + SLACK_MS
    const elapsedMs = Number(evidence['elapsedMs'])
    const durationMs = plan.steps[step]!.length.durationMs ?? 0
    if (elapsedMs < durationMs) fail(`after ${elapsedMs} ms of a step of ${durationMs} ms`)
    if (elapsedMs > passedMs) fail(`counted ${elapsedMs} ms where ${passedMs} ms had passed`)
  }
}

/** Time of a step never goes back, and never faster than clocks. */
export function checkRows(id: string, rows: readonly SeenRow[], all: readonly SeenDecision[]): string[] {
  const failures: string[] = []
  const begins = all.filter(
    ({ kind, detail }) =>
      detail['release'] === id && (kind === 'release.start' || kind === 'release.step' || kind === 'release.promote'),
  )
  let before: SeenRow | undefined
  for (const row of rows) {
    if (row.release !== id) continue
    if (before !== undefined && row.step < before.step) failures.push(`step ${row.step} came after step ${before.step}`)
    if (before?.step === row.step && row.elapsedMs < before.elapsedMs)
      failures.push(`step ${row.step} had run ${before.elapsedMs} ms, and then ${row.elapsedMs} ms`)
    const passedMs = row.seenMs - begins[row.step]!.timeMs + SLACK_MS
    if (row.elapsedMs > passedMs)
      failures.push(`step ${row.step} had run ${row.elapsedMs} ms where ${passedMs} ms had passed`)
    before = row
  }
  return failures
}

/** What was said to be made is there, and what was refused is not. */
export function checkAsked(asked: readonly Asked[], all: readonly SeenDecision[]): string[] {
  const failures: string[] = []
  for (const { name, act, answer } of asked) {
    if (answer === undefined) continue
    const made = all.filter(({ by }) => by === `person:${name}`).length
    const { code = '' } = answer.status === 200 ? {} : (JSON.parse(answer.text) as { code?: string })
    const said = `${act} by ${name} was answered ${answer.status} ${code}`
    if (answer.status === 200) {
      if (made !== 1 && !(made === 0 && act === 'rollback')) failures.push(`${said}, and made ${made} decisions`)
    } else if (answer.status !== 409 && answer.status !== 503) failures.push(`${said}: ${answer.text.slice(0, 300)}`)
    else if (made !== 0 && code !== 'STORE_OUTCOME_UNKNOWN') failures.push(`${said}, and made ${made} decisions`)
  }
  return failures
}
