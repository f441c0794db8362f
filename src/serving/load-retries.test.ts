import { describe, expect, it } from 'vitest'
import { FakeBackend, fakeArtifact, fakeManifest, settled } from '../../test/support/fake-backend.js'
import { HeadraceError, ManualClock, type ModelName, testPlatform } from '../core/index.js'
import { LoadRetries } from './load-retries.js'
import { createPool } from './pool.js'

const ref = (model: string) => ({ model: model as ModelName, version: 1 })
const artifact = (model: string) => fakeArtifact(model, 1, { manifest: fakeManifest({ warmup: [] }) })

function setUp() {
  const clock = new ManualClock()
  const platform = testPlatform({ clock, random: { next: () => 0.5, uint32: () => 0 } })
  const retries = new LoadRetries(clock, platform.random)
  const faults = new Map<string, { readonly retry: boolean; readonly waitsFor?: readonly string[] }>()
  const loads: [string, number][] = []
  let runFault: HeadraceError | undefined
  const pool = createPool({
    platform,
    defer: setImmediate,
    factories: new Map([
      [
        'fake',
        retries.of(async ({ ref }) => {
          loads.push([ref.model, clock.monotonicMs()])
          const fault = faults.get(ref.model)
          if (fault !== undefined)
            throw new HeadraceError('X_DOWN', 'It is down.', 503, fault.retry, 'warn', { waitsFor: fault.waitsFor })
          return new FakeBackend({ clock, runMs: () => runFault ?? 0 })
        }),
      ],
    ]),
  })
  const stop = retries.follow(pool)
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.advance(100)
      await settled()
    }
  }
  return {
    pool,
    faults,
    loads,
    stop,
    pass,
    failRuns: (error: HeadraceError | undefined) => {
      runFault = error
    },
    state: (model: string) => pool.status(ref(model))?.state,
  }
}

describe('loads that are tried again', () => {
  it('come after longer and longer pauses, until one succeeds', async () => {
    const { pool, faults, loads, pass, state } = setUp()
    faults.set('a', { retry: true })
    await pool.load(artifact('a'))
    await pass(20_000)
    expect(loads.map(([, atMs]) => atMs)).toEqual([0, 1000, 3000, 7000, 15_000])
    faults.delete('a')
    await pass(16_000)
    expect(state('a')).toBe('ready')
    await pass(60_000)
    expect(loads).toHaveLength(6)
  })

  it('come at once when what a version waited for is there', async () => {
    const { pool, faults, loads, pass, state } = setUp()
    faults.set('a', { retry: true, waitsFor: ['b/1'] })
    await pool.load(artifact('a'))
    faults.delete('a')
    await pool.load(artifact('b'))
    await settled()
    await pass(100)
    expect(state('a')).toBe('ready')
    expect(loads.map(([model]) => model)).toEqual(['a', 'b', 'a'])
  })

  it('come when the test prediction failed for a reason that may pass', async () => {
    const { pool, failRuns, loads, pass, state } = setUp()
    failRuns(new HeadraceError('X_DOWN', 'It is down.', 503, true, 'warn', {}))
    await pool.load(artifact('a'))
    expect(state('a')).toBe('failed')
    failRuns(undefined)
    await pass(2000)
    expect(state('a')).toBe('ready')
    expect(loads).toHaveLength(2)
  })

  it('do not come for what no time cures, nor for what was unloaded or when all ends', async () => {
    const { pool, faults, loads, pass, stop } = setUp()
    for (const [model, retry] of [
      ['a', false],
      ['b', true],
      ['c', true],
    ] as const) {
      faults.set(model, { retry })
      await pool.load(artifact(model))
    }
    await pool.unload(ref('b'))
    stop()
    await pass(5000)
    expect(loads).toHaveLength(3)
  })
})
