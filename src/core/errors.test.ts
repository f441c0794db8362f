import { describe, expect, it } from 'vitest'
import { declaredErrors, defineErrors, deserializeError, HeadraceError, toHeadraceError } from './errors.js'

const SampleErrors = defineErrors('SAMPLE', {
  BROKEN: { status: 422, retry: false, level: 'warn', message: (p: { part: string }) => `The ${p.part} is broken.` },
  BARE: { status: 503, retry: true, level: 'info', message: () => 'Nothing to say.' },
})

describe('defineErrors', () => {
  it('makes errors that carry code, status, retry, level, parameters and cause', () => {
    const cause = new Error('inner')
    const error = SampleErrors.BROKEN({ part: 'wheel' }, cause)
    expect(error).toBeInstanceOf(HeadraceError)
    expect(error).toMatchObject({
      code: 'SAMPLE_BROKEN',
      message: 'The wheel is broken.',
      status: 422,
      retry: false,
      level: 'warn',
      cause,
    })
    expect(SampleErrors.BARE().code).toBe('SAMPLE_BARE')
  })

  it('lists every declared code', () => {
    expect(declaredErrors()).toContainEqual({ code: 'SAMPLE_BARE', status: 503, retry: true, level: 'info' })
  })

  it('crosses a thread boundary unchanged', () => {
    const error = SampleErrors.BROKEN({ part: 'wheel' })
    const copy = deserializeError(structuredClone(error.toJSON()))
    expect(copy.toJSON()).toEqual(error.toJSON())
    expect(copy).toBeInstanceOf(HeadraceError)
  })

  it('turns anything thrown into an error with a code and keeps it as the cause', () => {
    const thrown = new TypeError('x is not a function')
    expect(toHeadraceError(thrown)).toMatchObject({ code: 'CORE_INTERNAL', status: 500, cause: thrown })
    expect(toHeadraceError(thrown).message).not.toContain('x is not')
  })
})
