// Verdicts from counts: what passes, what fails, what stays open, and that the budget is never more than was given.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PlanStep } from '../types.js'
import { alphaBudget, familyAlpha, parseGuard } from './budget.js'
import { guardCounts } from './counts.js'
import { judge } from './judge.js'
import { guardsSection } from './settings.js'
import type { ArmCount, GuardArm, GuardCounts } from './types.js'

const settings = guardsSection.parse({ outcomes: { converted: { worse: 'less' } } })
const errors = (candidate: number, reference: number, share = 0.05, guard = 'errors'): GuardCounts => ({
  guard,
  step: 0,
  share,
  candidate,
  reference,
})
const reportOf = (counts: readonly GuardCounts[], guard = 'errors', candidateUnits = 1000) =>
  judge(counts, settings, { units: { candidate: candidateUnits, minUnits: 100 } }).find((one) => one.guard === guard)!

describe('the error budget', () => {
  it('is never more than alpha, over all guards and windows, whatever is asked for', () => {
    fc.assert(
      fc.property(
        fc.record({
          alpha: fc.double({ min: 1e-6, max: 0.2, noNaN: true }),
          quantiles: fc.uniqueArray(fc.constantFrom(0.5, 0.9, 0.95, 0.99, 0.999), { maxLength: 5 }),
          hasOutputs: fc.boolean(),
          hasCost: fc.boolean(),
          outcomes: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd')),
        }),
        ({ alpha, quantiles, hasOutputs, hasCost, outcomes }) => {
          const specs = alphaBudget(
            guardsSection.parse({
              alpha,
              latency: { quantiles },
              outputs: { enabled: hasOutputs },
              cost: { enabled: hasCost },
              outcomes: Object.fromEntries(outcomes.map((name) => [name, { worse: 'more' }])),
            }),
          )
          expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length)
          let spent = 0
          for (const spec of specs) {
            spent += familyAlpha(spec, undefined)
            // Ten thousand hours, and the rest of the series 1 / (k (k + 1)), which is 1 / (n + 1).
            for (let window = 1; window <= 10_000; window++) spent += familyAlpha(spec, window)
          }
          expect(spent).toBeLessThanOrEqual(alpha * (1 + 1e-12))
          expect(spent).toBeGreaterThan(alpha * 0.98)
        },
      ),
      { numRuns: 10 },
    )
  })

  it('reads the window from a guard’s name, and leaves names of outcomes alone', () => {
    expect(parseGuard('errors@12')).toEqual({ guard: 'errors', window: 12 })
    expect(parseGuard('outcome:a@b')).toEqual({ guard: 'outcome:a@b', window: undefined })
  })
})

describe('judging', () => {
  it('reports every guard as inconclusive while nothing was seen', () => {
    const reports = judge([], settings)
    expect(reports.map(({ guard }) => guard)).toEqual(alphaBudget(settings).map(({ name }) => name))
    for (const report of reports)
      expect(report).toMatchObject({ verdict: 'inconclusive', eValue: 1, relative: null, candidate: 0 })
  })

  it('fails on six units of a candidate that fails altogether, and says that it was gross', () => {
    const report = reportOf([errors(6, 2)], 'errors', 6)
    expect(report.verdict).toBe('failed')
    expect(report.eValue).toBeGreaterThanOrEqual(1 / report.alpha)
    expect(report.relative!.low).toBeGreaterThan(1)
    expect(report.summary).toContain('Gross failure: 6 of the candidate')
  })

  it('says so when nothing bounds the rate, because the reference had no event', () => {
    expect(reportOf([errors(7, 0, 0.25)], 'errors', 14).summary).toBe(
      "Gross failure: 7 of the candidate's units and 0 of the champion's showed an error: at least 1.70 times the rate, evidence 1805 against a limit of 200.",
    )
    expect(reportOf([errors(1, 0, 0.25)]).summary).toMatch(/: any number of times the rate|: at least 0\.\d+ times/)
    expect(reportOf([errors(1, 1, 0.25)]).summary).toMatch(/ times the rate \([\d.]+ or more\)/)
    expect(reportOf([errors(0, 3, 0.25)]).summary).toMatch(/: 0 times the rate \(0 to [\d.]+\)/)
  })

  it('fails exactly where its interval excludes the tolerance', () => {
    for (let candidate = 0; candidate < 60; candidate++) {
      const { verdict, relative } = reportOf([errors(candidate, 200)])
      expect(verdict === 'failed').toBe(relative!.low > 1)
    }
  })

  it('passes when harm is excluded and enough units were seen, not before', () => {
    const equal = [errors(500, 9500)]
    expect(reportOf(equal).verdict).toBe('passed')
    expect(reportOf(equal, 'errors', 99)).toMatchObject({ verdict: 'inconclusive' })
    expect(reportOf(equal, 'errors', 99).summary).toContain('99 of 100 candidate units')
    expect(reportOf([errors(5, 95)]).verdict).toBe('inconclusive')
  })

  it('adds steps up, each with its own share', () => {
    const steps = [errors(20, 190), { ...errors(40, 60, 0.25), step: 1 }]
    expect(reportOf(steps)).toMatchObject({ candidate: 60, reference: 250, verdict: 'failed' })
    expect(reportOf(steps.slice(0, 1)).verdict).toBe('inconclusive')
  })

  it('fails on one window alone, at the smaller budget of windows, and says which', () => {
    const used = errors(500, 9500)
    const report = reportOf([used, errors(12, 4, 0.05, 'errors@30')])
    expect(report).toMatchObject({ verdict: 'failed', candidate: 12, reference: 4 })
    expect(report.summary).toContain('in window 30')
    expect(reportOf([used, errors(3, 4, 0.05, 'errors@30')]).verdict).toBe('passed')
  })

  it('takes less of a good outcome as harm, and more of it as none', () => {
    const less = reportOf([errors(40, 160, 0.5, 'outcome:converted')], 'outcome:converted')
    expect(less.verdict).toBe('failed')
    expect(less.relative!.high).toBeLessThan(1)
    expect(reportOf([errors(160, 40, 0.5, 'outcome:converted')], 'outcome:converted').verdict).toBe('passed')
  })

  it('stays plain data under evidence beyond any number', () => {
    const report = reportOf([errors(100_000, 3)])
    expect(report.eValue).toBe(1e300)
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })

  it('compares errors with the champion, the rest with the control, and the last step with what failed before', () => {
    const steps: PlanStep[] = [
      { kind: 'shadow', sample: 1, length: {} },
      { kind: 'canary', weight: 0.05, length: {} },
      { kind: 'canary', weight: 1, length: {} },
    ]
    const row = (guard: string, step: number, arm: GuardArm, units: number): ArmCount => ({ guard, step, arm, units })
    const rows = [
      row('errors', 1, 'candidate', 3),
      row('errors', 1, 'control', 2),
      row('errors', 1, 'baseline', 40),
      row('latency-p95@2', 1, 'candidate', 5),
      row('latency-p95@2', 1, 'control', 6),
      row('gross@1', 2, 'candidate', 7),
      row('gross@1', 2, 'control', 1),
      row('errors', 2, 'candidate', 9),
      row('errors', 0, 'candidate', 9),
      row('outcome:no longer there', 1, 'candidate', 9),
    ]
    const thresholds = { limits: {}, failingShare: 0.15, calls: 1000 }
    expect(guardCounts(rows, steps, settings, thresholds)).toEqual([
      { guard: 'errors', step: 1, share: 0.05, candidate: 3, reference: 42 },
      { guard: 'latency-p95@2', step: 1, share: 0.5, candidate: 5, reference: 6 },
      { guard: 'gross@1', step: 2, share: 0.3, candidate: 7, reference: 1 },
    ])
    const withControl = guardsSection.parse({ errors: { reference: 'control' } })
    expect(guardCounts(rows, steps, withControl)[0]).toMatchObject({ share: 0.5, candidate: 3, reference: 2 })
    const gross = judge([{ guard: 'gross@1', step: 2, share: 0.2, candidate: 9, reference: 0 }], settings)
    expect(gross.find(({ verdict }) => verdict === 'failed')).toMatchObject({ guard: 'gross' })
  })
})
