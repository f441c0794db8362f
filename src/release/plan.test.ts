import { describe, expect, it } from 'vitest'
import { BUILT_IN_PLANS, controlWeight, parsePlan, stepText } from './plan.js'

describe('parsePlan', () => {
  it('reads shadow and canary steps with times, units, and both', () => {
    expect(parsePlan('shadow:1h/skip,canary:5%/30m&500u, 25%/2000u,100%').steps).toEqual([
      { kind: 'shadow', sample: 1, length: { durationMs: 3_600_000 }, maySkip: true },
      { kind: 'canary', weight: 0.05, length: { durationMs: 1_800_000, units: 500 } },
      { kind: 'canary', weight: 0.25, length: { units: 2000 } },
      { kind: 'canary', weight: 1, length: {} },
    ])
  })

  it('knows the built-in plans and those of the project, and says which it was', () => {
    for (const name of Object.keys(BUILT_IN_PLANS)) expect(parsePlan(name)).toMatchObject({ name })
    expect(parsePlan('slow', { slow: '0.1%/1w,100%/1d' })).toMatchObject({ name: 'slow', text: '0.1%/1w,100%/1d' })
    expect(parsePlan('instant').steps).toEqual([{ kind: 'canary', weight: 1, length: {} }])
  })

  it.each([
    ['', 'is neither a share'],
    ['nightly', 'no plan is named so; there are instant, blue-green, standard, critical'],
    [
      '5/30m,100%',
      '"5" is neither a share like 5%, a time like 30m nor a number of units like 2000u; a number needs its unit',
    ],
    ['5%/30m', 'its last step is not 100%'],
    ['5%,100%', 'does not say how long it lasts'],
    ['5%/30m,5%/30m,100%', 'does not give the candidate more'],
    ['5%/1h,shadow:1h,100%', 'a shadow stands after a canary'],
    ['0.05%/1h,100%', 'steps of 0.1 %'],
    ['0%/1h,100%', 'steps of 0.1 %'],
    ['101%', 'steps of 0.1 %'],
    ['blue:5%/1h,100%', 'no kind of step'],
    ['5%/0u,100%', 'no whole number of units'],
    ['5%/1h/2h,100%', 'has two lengths'],
    ['5%/skip,100%', 'is neither a share'],
    ['canary:1h,100%', 'says no share'],
    ['5%/400d,100%', 'at most a year'],
  ])('refuses %j: %s', (text, problem) => {
    expect(() => parsePlan(text)).toThrow(problem)
  })

  it('writes a step for people', () => {
    expect(parsePlan('shadow:10%/1d,0.5%/90m,100%').steps.map(stepText)).toEqual([
      'shadow 10 % for 1d',
      'canary 0.5 % for 90m',
      'canary 100 %',
    ])
  })

  it('gives the control as much as the candidate while there is room', () => {
    expect([0.001, 0.05, 0.5, 0.6, 1].map(controlWeight)).toEqual([0.001, 0.05, 0.5, 0.4, 0])
  })
})
