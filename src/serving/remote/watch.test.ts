import { describe, expect, it } from 'vitest'
import { settled } from '../../../test/support/fake-backend.js'
import { ManualClock, type Random } from '../../core/index.js'
import { Failures } from './failure.js'
import { Watch } from './watch.js'

/** No jitter: the middle of the range. */
const steady: Random = { next: () => 0.5, uint32: () => 0 }
const failures = new Failures('far/1', 'http://far')

function setUp(everyMs = 5000) {
  const clock = new ManualClock()
  const looks: { readonly atMs: number; readonly isThorough: boolean }[] = []
  const told: (string | undefined)[] = []
  const server: { failure: unknown } = { failure: undefined }
  const watch = new Watch({
    clock,
    random: steady,
    everyMs,
    async look(isThorough) {
      looks.push({ atMs: clock.monotonicMs(), isThorough })
      if (server.failure !== undefined) throw server.failure
    },
    tell: (reason) => told.push(reason),
  })
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50)
      await settled()
    }
  }
  return { clock, looks, told, server, watch, pass }
}

describe('the watch over a server', () => {
  it('looks now and then while all is well', async () => {
    const { looks, told, pass, watch } = setUp()
    await pass(15_000)
    expect(looks.map(({ atMs }) => atMs)).toEqual([5000, 10_000, 15_000])
    expect(looks.some(({ isThorough }) => isThorough)).toBe(false)
    expect(told).toEqual([undefined, undefined, undefined])
    watch.close()
    await pass(10_000)
    expect(looks).toHaveLength(3)
  })

  it('believes a second failed look, and one at which the server itself says no', async () => {
    const { told, pass, server, watch } = setUp()
    server.failure = failures.unreachable('no route')
    await pass(5000)
    expect(watch.reason).toBeUndefined()
    await pass(250)
    expect(watch.reason).toBe('cannot be reached: no route')
    expect(told).toEqual([undefined, 'cannot be reached: no route'])
    const definite = setUp()
    definite.server.failure = failures.unready('loading.')
    await definite.pass(5000)
    expect(definite.watch.reason).toBe('is not ready: loading')
  })

  it('looks at once when a request had reason to doubt, once for all of them', async () => {
    const { looks, pass, watch, server } = setUp()
    await pass(100)
    server.failure = failures.unreachable('reset')
    for (let i = 0; i < 10; i++) watch.suspect()
    await pass(1000)
    expect(looks[0]).toEqual({ atMs: 100, isThorough: true })
    expect(looks[1]!.atMs - looks[0]!.atMs).toBeLessThanOrEqual(300)
    expect(watch.reason).toBeDefined()
  })

  it('looks less and less often while the server is gone, at least every ten seconds, and thoroughly when it is back', async () => {
    const { looks, told, pass, server, watch } = setUp()
    server.failure = failures.unreachable('gone')
    await pass(60_000)
    const pauses = looks.slice(1).map(({ atMs }, i) => atMs - looks[i]!.atMs)
    expect(pauses.slice(0, 8)).toEqual([250, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000])
    expect(watch.retryAfterMs).toBeLessThanOrEqual(10_000)
    server.failure = undefined
    const before = looks.length
    while (watch.reason !== undefined) await pass(50)
    expect(told.at(-1)).toBeUndefined()
    expect(looks.slice(before)).toMatchObject([{ isThorough: true }])
  })
})
