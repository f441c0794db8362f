import { describe, expect, it } from 'vitest'
import { defineErrors } from './errors.js'
import { createLogger } from './logger.js'

const { FAILED } = defineErrors('LOGGER_TEST', {
  FAILED: { status: 503, retry: true, level: 'error', message: (p: { name: string }) => `${p.name} failed.` },
})

function logged(err: unknown): string {
  const lines: string[] = []
  createLogger({ destination: { write: (line: string) => void lines.push(line) } }).error({ err }, 'it failed')
  return lines.join('')
}

describe('the log of a server', () => {
  it('has of an error its code, its sentence and those of its causes', () => {
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    expect(JSON.parse(logged(FAILED({ name: 'Redis' }, cause)))).toMatchObject({
      level: 'error',
      msg: 'it failed',
      err: { code: 'LOGGER_TEST_FAILED', status: 503, params: { name: 'Redis' }, message: 'Redis failed.: refused' },
    })
    expect(JSON.parse(logged(cause)).err).toMatchObject({ type: 'Error', code: 'ECONNREFUSED', message: 'refused' })
  })

  it('has none of what a library hangs on its errors: commands, addresses with passwords, replies', () => {
    const ofRedis = Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: ['hunter2'] } })
    const ofFetch = Object.assign(new Error('no'), {
      response: { headers: { authorization: 'hunter2' } },
      config: 'hunter2',
    })
    for (const error of [
      ofRedis,
      ofFetch,
      addressError(),
      new AggregateError([ofRedis, ofFetch], 'both', { cause: ofRedis }),
    ])
      expect(logged(error)).not.toContain('hunter2')
  })
})

function addressError(): unknown {
  try {
    return new URL('postgres://user:hunter2@host:port/')
  } catch (error) {
    return error
  }
}
