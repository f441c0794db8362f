import { describe, expect, it } from 'vitest'
import { didYouMean } from './did-you-mean.js'

describe('didYouMean', () => {
  it('finds the nearest name within a third of its letters', () => {
    const names = ['amount', 'age', 'country_code']
    expect(didYouMean('amuont', names)).toBe('amount')
    expect(didYouMean('AGE', names)).toBe('age')
    expect(didYouMean('countrycode', names)).toBe('country_code')
    expect(didYouMean('merchant', names)).toBeUndefined()
    expect(didYouMean('x'.repeat(1_000_000), names)).toBeUndefined()
  })
})
