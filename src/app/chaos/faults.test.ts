import { connect, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock, silentLogger, systemClock, testPlatform } from '../../core/index.js'
import type { LogFile, LogFiles } from '../../log/index.js'
import type { Backend } from '../../serving/index.js'
import { faultyBackends } from './backends.js'
import { skewable } from './clock.js'
import { chaosChangeKinds, describeFault, injection, readInjection } from './decisions.js'
import { faultyFiles } from './disk.js'
import { type Fault, Faults } from './faults.js'
import { openRedisProxy } from './redis-proxy.js'

function setUp() {
  const clock = new ManualClock()
  return { clock, faults: new Faults(clock, silentLogger) }
}

const delay: Fault = { kind: 'delay', model: 'fraud', version: 2, ms: 300 }

describe('faults', () => {
  it('heal by themselves when their time is over', async () => {
    const { clock, faults } = setUp()
    faults.start('1', delay, 1000)
    const healed = faults.healed('1')
    clock.advance(999)
    expect(faults.list()).toHaveLength(1)
    clock.advance(1)
    expect(faults.list()).toEqual([])
    await healed
  })

  it('are found by their model and version, the newest first', () => {
    const { faults } = setUp()
    faults.start('1', { ...delay, version: null }, 1000)
    faults.start('2', delay, 1000)
    expect(faults.find('delay', 'fraud', 1)?.id).toBe('1')
    expect(faults.find('delay', 'fraud', 2)?.id).toBe('2')
    expect(faults.find('delay', 'other', 2)).toBeUndefined()
    expect(faults.find('hang', 'fraud', 2)).toBeUndefined()
  })

  it('end early when they are healed, one or all', () => {
    const { clock, faults } = setUp()
    faults.start('1', delay, 1000)
    faults.start('2', { kind: 'disk-full' }, 1000)
    expect(faults.end('1')).toBe(true)
    expect(faults.end('1')).toBe(false)
    faults.endAll()
    clock.advance(1000)
    expect(faults.list()).toEqual([])
  })

  it('survive being a decision, each kind of them', () => {
    const all: Fault[] = [
      delay,
      { kind: 'error', model: 'fraud', version: null, rate: 0.5 },
      { kind: 'hang', model: 'fraud', version: 1 },
      { kind: 'kill', what: 'thread', model: 'fraud', version: null, pid: 7 },
      { kind: 'redis', mode: 'slow', ms: 10 },
      { kind: 'disk-full' },
      { kind: 'clock-skew', clock: 'wall', ms: -5 },
    ]
    for (const fault of all) {
      const change = injection(fault, 500)
      chaosChangeKinds[0]!.parse(change)
      expect(readInjection(change)).toEqual({ fault, durationMs: 500 })
      expect(chaosChangeKinds[0]!.summary({ change } as never)).toContain(describeFault(fault))
    }
    expect(() =>
      readInjection({ kind: 'chaos.inject', subject: 'x', detail: { kind: 'flood', durationMs: 1 } }),
    ).toThrow(expect.objectContaining({ code: 'CHAOS_CHANGE_INVALID' }))
  })
})

describe('a backend under faults', () => {
  async function load(rate = 1) {
    const { clock, faults } = setUp()
    let runs = 0
    const real = {
      signature: { inputs: [], outputs: [], batchAxis: null },
      concurrency: 3,
      isolation: 'thread',
      async run() {
        runs++
        return new Map()
      },
      memoryBytes: () => 7,
    } as unknown as Backend
    const platform = testPlatform({ clock })
    const artifact = { ref: { model: 'fraud', version: 2 } }
    const factory = faultyBackends(async () => real, faults, platform)
    const backend = await factory(artifact as never, { platform })
    const run = () => backend.run(new Map(), {} as never)
    return { clock, faults, backend, run, runs: () => runs, rate }
  }

  it('is as before when there are none', async () => {
    const { backend, run, runs } = await load()
    await run()
    expect(runs()).toBe(1)
    expect(backend.concurrency).toBe(3)
    expect(backend.memoryBytes()).toBe(7)
  })

  it('runs later by the delay', async () => {
    const { clock, faults, run, runs } = await load()
    faults.start('1', delay, 1000)
    const running = run()
    clock.advance(299)
    await Promise.resolve()
    expect(runs()).toBe(0)
    clock.advance(1)
    await running
    expect(runs()).toBe(1)
  })

  it('fails the share of runs that was asked for', async () => {
    const { faults, run } = await load()
    faults.start('1', { kind: 'error', model: 'fraud', version: null, rate: 0.5 }, 1000)
    let failed = 0
    for (let i = 0; i < 1000; i++) await run().catch(() => failed++)
    expect(failed).toBeGreaterThan(430)
    expect(failed).toBeLessThan(570)
  })

  it('hangs until the fault is healed, and then runs', async () => {
    const { clock, faults, run, runs } = await load()
    faults.start('1', { kind: 'hang', model: 'fraud', version: 2 }, 1000)
    const running = run()
    clock.advance(999)
    await Promise.resolve()
    expect(runs()).toBe(0)
    clock.advance(1)
    await running
    expect(runs()).toBe(1)
  })
})

describe('a clock under faults', () => {
  it('is wrong on the wall while the fault lasts, and right again', () => {
    const { clock, faults } = setUp()
    const { clock: skewed } = skewable(testPlatform({ clock }), faults)
    faults.start('1', { kind: 'clock-skew', clock: 'wall', ms: -3_600_000 }, 1000)
    expect(skewed.nowMs()).toBe(clock.nowMs() - 3_600_000)
    expect(skewed.monotonicMs()).toBe(clock.monotonicMs())
    clock.advance(1000)
    expect(skewed.nowMs()).toBe(clock.nowMs())
  })

  it('keeps a monotonic jump for good, once, and never goes back', () => {
    const { clock, faults } = setUp()
    const { clock: skewed } = skewable(testPlatform({ clock }), faults)
    faults.start('1', { kind: 'clock-skew', clock: 'monotonic', ms: 5000 }, 1000)
    faults.start('2', { kind: 'clock-skew', clock: 'monotonic', ms: -9000 }, 1000)
    expect(skewed.monotonicMs()).toBe(5000)
    clock.advance(1000)
    expect(skewed.monotonicMs()).toBe(6000)
  })
})

it('a full disk fails what needs room, with ENOSPC, and reads what is there', async () => {
  const { faults } = setUp()
  const file = { read: async () => 1, write: async () => 2 } as unknown as LogFile
  const files = faultyFiles({ open: async () => file, list: async () => [] } as unknown as LogFiles, faults)
  const open = await files.open('a', 'wx')
  expect(await open.write(new Uint8Array(2), 0, 2, 0)).toBe(2)
  faults.start('1', { kind: 'disk-full' }, 1000)
  await expect(open.write(new Uint8Array(2), 0, 2, 0)).rejects.toMatchObject({ code: 'ENOSPC' })
  await expect(files.open('b', 'wx')).rejects.toMatchObject({ code: 'ENOSPC' })
  expect(await (await files.open('a', 'r')).read(new Uint8Array(1), 0, 1, 0)).toBe(1)
  faults.endAll()
  expect(await open.write(new Uint8Array(2), 0, 2, 0)).toBe(2)
})

describe('the proxy before Redis', () => {
  /** A server that says everything back, and the proxy before it. */
  async function echoed() {
    const faults = new Faults(systemClock, silentLogger)
    const echo = createServer((socket) => socket.pipe(socket).on('error', () => {}))
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    const { port } = echo.address() as { port: number }
    const proxy = await openRedisProxy(`redis://:secret@127.0.0.1:${port}/2`, faults, systemClock)
    onTestFinished(async () => {
      await proxy.close()
      await new Promise((resolve) => echo.close(resolve))
    })
    const open = () => connect(Number(new URL(proxy.url).port), '127.0.0.1')
    const said = (text: string, socket = open()) =>
      new Promise<string>((resolve) => {
        socket.once('data', (bytes) => {
          socket.destroy()
          resolve(bytes.toString())
        })
        socket.once('close', () => resolve('closed'))
        socket.on('error', () => {})
        socket.write(text)
      })
    return { faults, proxy, open, said }
  }

  it('keeps the rest of the URL and passes everything on', async () => {
    const { proxy, said } = await echoed()
    expect(proxy.url).toMatch(/^redis:\/\/:secret@127\.0\.0\.1:\d+\/2$/)
    expect(await said('PING')).toBe('PING')
  })

  it('drops what is open and what comes while the fault lasts', async () => {
    const { faults, open, said } = await echoed()
    const socket = open()
    expect(await new Promise((resolve) => socket.once('connect', () => resolve('open')))).toBe('open')
    const closed = new Promise((resolve) => socket.once('close', resolve).on('error', () => {}))
    faults.start('1', { kind: 'redis', mode: 'drop', ms: 0 }, 60_000)
    await closed
    expect(await said('PING')).toBe('closed')
    faults.endAll()
    expect(await said('PING')).toBe('PING')
  })

  it('is slow in both directions', async () => {
    const { faults, said } = await echoed()
    faults.start('1', { kind: 'redis', mode: 'slow', ms: 40 }, 60_000)
    const startMs = performance.now()
    expect(await said('PING')).toBe('PING')
    expect(performance.now() - startMs).toBeGreaterThan(75)
  })

  it('is not possible before TLS', async () => {
    const { faults } = setUp()
    await expect(openRedisProxy('rediss://host', faults, systemClock)).rejects.toMatchObject({
      code: 'CHAOS_NOT_POSSIBLE',
    })
  })
})
