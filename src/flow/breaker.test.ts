import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock, type Random, seededRandom } from '../core/index.js'
import { Breaker, type BreakerOptions, type BreakerState } from './breaker.js'

/** No jitter: the middle of the range. */
const steady: Random = { next: () => 0.5, uint32: () => 0 }

function setUp(options: Partial<BreakerOptions> = {}) {
  const clock = new ManualClock()
  const changes: BreakerState[] = []
  const breaker = new Breaker({ clock, random: steady, onChange: (state) => changes.push(state), ...options })
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) breaker.failed(1)
  }
  return { clock, breaker, changes, fail }
}

describe('the circuit breaker', () => {
  it('opens when half of at least five calls failed, and not before there are five', () => {
    const { breaker, fail, changes } = setUp()
    fail(4)
    expect(breaker.state).toBe('closed')
    breaker.succeeded(1)
    expect(breaker.state).toBe('open')
    expect(breaker.admits()).toBe(false)
    expect(breaker.retryAfterMs()).toBe(1000)
    expect(changes).toEqual(['open'])
  })

  it('stays closed while under half of the newest twenty failed', () => {
    const { breaker } = setUp()
    for (let i = 0; i < 200; i++) {
      if (i % 20 > 10) breaker.failed(1)
      else breaker.succeeded(1)
    }
    expect(breaker.state).toBe('closed')
  })

  it('forgets failures that are older than its window', () => {
    const { breaker, fail, clock } = setUp()
    fail(4)
    clock.advance(10_000)
    breaker.failed(1)
    expect(breaker.state).toBe('closed')
  })

  it('admits one probe at a time when it was open long enough, and closes when the probe succeeds', () => {
    const { breaker, fail, clock, changes } = setUp()
    fail(5)
    clock.advance(999)
    expect(breaker.admits()).toBe(false)
    clock.advance(1)
    expect([breaker.admits(), breaker.admits(), breaker.admits()]).toEqual([true, false, false])
    expect(breaker.state).toBe('half-open')
    breaker.succeeded(1)
    expect(breaker.state).toBe('closed')
    expect(breaker.admits()).toBe(true)
    expect(changes).toEqual(['open', 'half-open', 'closed'])
  })

  it('waits twice as long after each failed probe, up to its bound, and begins anew once closed', () => {
    const { breaker, fail, clock } = setUp({ maxOpenMs: 4000 })
    fail(5)
    const waits: number[] = []
    for (let i = 0; i < 5; i++) {
      waits.push(breaker.retryAfterMs())
      clock.advance(breaker.retryAfterMs())
      expect(breaker.admits()).toBe(true)
      breaker.failed(1)
    }
    expect(waits).toEqual([1000, 2000, 4000, 4000, 4000])
    clock.advance(4000)
    breaker.admits()
    breaker.succeeded(1)
    fail(5)
    expect(breaker.retryAfterMs()).toBe(1000)
  })

  it('spreads its waits over a fifth on both sides', () => {
    const random = seededRandom(7)
    const waits = Array.from({ length: 500 }, () => {
      const { breaker, fail } = setUp({ random })
      fail(5)
      return breaker.retryAfterMs()
    })
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(800)
    expect(Math.min(...waits)).toBeLessThan(820)
    expect(Math.max(...waits)).toBeLessThan(1200)
    expect(Math.max(...waits)).toBeGreaterThan(1180)
  })

  it('opens on slow calls that all succeeded, and a slow probe opens it again', () => {
    const { breaker, clock } = setUp({ slowMs: 100 })
    for (const ms of [150, 150, 100, 150, 150]) breaker.succeeded(ms)
    expect(breaker.state).toBe('open')
    clock.advance(1000)
    breaker.admits()
    clock.advance(101)
    breaker.succeeded(101)
    expect(breaker.state).toBe('open')
  })

  it('replaces a probe that never reports', () => {
    const { breaker, fail, clock } = setUp()
    fail(5)
    clock.advance(1000)
    expect(breaker.admits()).toBe(true)
    clock.advance(999)
    expect(breaker.admits()).toBe(false)
    expect(breaker.retryAfterMs()).toBe(1)
    clock.advance(1)
    expect(breaker.admits()).toBe(true)
    expect(breaker.admits()).toBe(false)
  })

  it("gives a probe's place back when its call said nothing about health", () => {
    const { breaker, fail, clock } = setUp()
    fail(5)
    clock.advance(1000)
    breaker.admits()
    breaker.ignored()
    expect(breaker.state).toBe('half-open')
    expect(breaker.admits()).toBe(true)
    expect(breaker.admits()).toBe(false)
  })

  it('takes the late end of a call from before it opened for no probe', () => {
    const { breaker, fail, clock } = setUp()
    clock.advance(5000)
    fail(5)
    clock.advance(1000)
    breaker.admits()
    breaker.succeeded(1500)
    breaker.failed(1500)
    breaker.ignored(1500)
    expect(breaker.state).toBe('half-open')
    expect(breaker.admits()).toBe(false)
  })

  it('agrees with a slow obvious model over random histories', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 700 }) }),
      fc.record({ kind: fc.constant('call' as const), ms: fc.integer({ min: 0, max: 200 }), fails: fc.boolean() }),
      fc.record({ kind: fc.constant('ignored' as const), ms: fc.constant(0) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const options = { windowCalls: 8, windowMs: 2000, minCalls: 3, slowMs: 150, openMs: 500, maxOpenMs: 1500 }
        const { breaker, clock } = setUp(options)
        const model = new Model(options)
        for (const step of steps) {
          if (step.kind === 'advance') {
            clock.advance(step.ms)
            continue
          }
          const nowMs = clock.monotonicMs()
          const admits = breaker.admits()
          expect(admits).toBe(model.admits(nowMs))
          if (!admits) continue
          if (step.kind === 'ignored') {
            breaker.ignored()
            model.ignored()
          } else {
            clock.advance(step.ms)
            if (step.fails) breaker.failed(step.ms)
            else breaker.succeeded(step.ms)
            model.report(clock.monotonicMs(), step.fails, step.ms)
          }
          expect(breaker.state).toBe(model.state)
        }
      }),
    )
  })
})

/** Everything that happened in one array, read again for each question. Calls one at a time, so each report is the last admitted's. */
class Model {
  state: BreakerState = 'closed'
  #calls: { atMs: number; failed: boolean; slow: boolean }[] = []
  #untilMs = 0
  #probeMs: number | undefined
  #failedProbes = 0

  constructor(
    private readonly o: {
      windowCalls: number
      windowMs: number
      minCalls: number
      slowMs: number
      openMs: number
      maxOpenMs: number
    },
  ) {}

  admits(nowMs: number): boolean {
    if (this.state === 'closed') return true
    if (this.state === 'open' && nowMs < this.#untilMs) return false
    if (this.#probeMs !== undefined && nowMs < this.#probeMs + this.o.openMs) return false
    this.state = 'half-open'
    this.#probeMs = nowMs
    return true
  }

  ignored(): void {
    this.#probeMs = undefined
  }

  report(nowMs: number, failed: boolean, ms: number): void {
    const slow = ms > this.o.slowMs
    if (this.state === 'half-open') {
      this.#probeMs = undefined
      this.#calls = []
      this.#failedProbes = failed || slow ? this.#failedProbes + 1 : 0
      if (failed || slow) this.#open(nowMs)
      else this.state = 'closed'
      return
    }
    this.#calls.push({ atMs: nowMs, failed, slow })
    const seen = this.#calls.slice(-this.o.windowCalls).filter(({ atMs }) => atMs > nowMs - this.o.windowMs)
    const share = (of: (call: { failed: boolean; slow: boolean }) => boolean) => seen.filter(of).length / seen.length
    if (seen.length < this.o.minCalls) return
    if (share((call) => call.failed) >= 0.5 || share((call) => call.slow) >= 0.8) {
      this.#calls = []
      this.#open(nowMs)
    }
  }

  #open(nowMs: number): void {
    this.state = 'open'
    this.#untilMs = nowMs + Math.min(this.o.openMs * 2 ** this.#failedProbes, this.o.maxOpenMs)
  }
}
