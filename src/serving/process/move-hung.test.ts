import { describe, expect, it } from 'vitest'
import {
  doublerInput,
  FakeBackend,
  type FakeBackendOptions,
  fakeArtifact,
  fakeManifest,
  settled,
} from '../../../test/support/fake-backend.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import { createPool } from '../pool.js'
import type { ServedVersion } from '../types.js'
import { movingHung } from './move-hung.js'

const TIMEOUT_MS = 1000

/** A pool with one version, in a thread whose runs end by hand or at once, and where it would move to. */
async function setUp(parts: Partial<FakeBackendOptions> = {}) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  let hangs = false
  const inThread = new FakeBackend({ clock, runMs: () => (hangs ? 'hold' : 0), ...parts })
  const inProcess = new FakeBackend({ clock, runMs: 0, isolation: 'process' })
  let moves = 0
  let refusedMoves = 0
  const factory = movingHung(
    async () => inThread,
    async ({ manifest }) => {
      if (refusedMoves > 0) {
        refusedMoves--
        throw new Error('no memory')
      }
      moves++
      expect(manifest).toMatchObject({ isolation: 'process', group: 'fraud/1 (moved)' })
      return inProcess
    },
  )
  const pool = createPool({ platform, factories: new Map([['fake', factory]]), defer: (callback) => callback() })
  const artifact = fakeArtifact('fraud', 1, { manifest: fakeManifest({ timeoutMs: TIMEOUT_MS }) })
  expect(await pool.load(artifact)).toMatchObject({ state: 'ready' })
  const served = pool.get(artifact.ref) as ServedVersion
  const call = () => served.leaf.call(doublerInput([[1]]), Deadline.none(clock))
  const pass = async (ms: number) => {
    clock.advance(ms)
    for (let i = 0; i < 5; i++) await settled()
  }
  return {
    clock,
    platform,
    pool,
    inThread,
    inProcess,
    call,
    pass,
    ref: artifact.ref,
    hang: (now: boolean) => {
      hangs = now
    },
    refuseMoves: (times: number) => {
      refusedMoves = times
    },
    get moves() {
      return moves
    },
  }
}

describe('a version in a thread whose runs hang', () => {
  it('stays where it is when one hang ends', async () => {
    const world = await setUp()
    world.hang(true)
    const hung = world.call()
    hung.catch(() => undefined)
    await world.pass(TIMEOUT_MS)
    await expect(hung).rejects.toMatchObject({ code: 'SERVING_RUN_TIMEOUT' })
    world.hang(false)
    world.inThread.pending[0]!.finish()
    await world.pass(0)
    await world.pass(5 * TIMEOUT_MS)
    expect(world.moves).toBe(0)
    expect((await world.call()).outputs.size).toBe(2)
  })

  it('moves to a process of its own with the second hang', async () => {
    const world = await setUp()
    for (const again of [false, true]) {
      world.hang(true)
      const hung = world.call()
      hung.catch(() => undefined)
      await world.pass(TIMEOUT_MS)
      world.hang(false)
      if (!again) world.inThread.pending[0]!.finish()
      await world.pass(0)
    }
    expect(world.moves).toBe(1)
    expect(world.pool.status(world.ref)).toMatchObject({ state: 'ready' })
    const before = world.inProcess.runs.length
    expect((await world.call()).outputs.size).toBe(2)
    expect(world.inProcess.runs.length).toBe(before + 1)
    expect(await world.platform.metrics.expose()).toContain('ml_moved_to_process_total{model="fraud",version="1"} 1')
  })

  it('moves when the first hang has lasted twice its limit, and serves although that never ends', async () => {
    const world = await setUp()
    world.hang(true)
    const hung = world.call()
    hung.catch(() => undefined)
    await world.pass(TIMEOUT_MS)
    expect(world.pool.status(world.ref)).toMatchObject({ state: 'unready' })
    await expect(world.call()).rejects.toMatchObject({ code: 'SERVING_MODEL_UNREADY', status: 503 })
    await world.pass(TIMEOUT_MS)
    expect(world.moves).toBe(1)
    expect(world.pool.status(world.ref)).toMatchObject({ state: 'ready' })
    expect((await world.call()).outputs.size).toBe(2)
    expect(world.inThread.isClosed).toBe(true)
  })

  it('says from then on that it runs in a process', async () => {
    const world = await setUp()
    expect(world.pool.get(world.ref)).toMatchObject({ isolation: 'thread' })
    world.hang(true)
    world.call().catch(() => undefined)
    await world.pass(2 * TIMEOUT_MS)
    expect(world.pool.get(world.ref)).toMatchObject({ isolation: 'process' })
    expect(world.pool.latest(world.ref.model)).toMatchObject({ isolation: 'process' })
    expect((await world.call()).outputs.size).toBe(2)
  })

  it('serves although a run that was within its limit at the move never ends', async () => {
    const world = await setUp({ concurrency: 2 })
    world.hang(true)
    for (const waitMs of [1.5 * TIMEOUT_MS, 0.5 * TIMEOUT_MS]) {
      world.call().catch(() => undefined)
      await world.pass(waitMs)
    }
    expect(world.moves).toBe(1)
    await world.pass(5 * TIMEOUT_MS)
    expect(world.pool.status(world.ref)).toMatchObject({ state: 'ready' })
    expect((await world.call()).outputs.size).toBe(2)
  })

  it('does not go on looking at a run that never ends', async () => {
    const world = await setUp()
    world.hang(true)
    world.call().catch(() => undefined)
    await world.pass(2 * TIMEOUT_MS)
    let timers = 0
    const after = world.clock.after.bind(world.clock)
    world.clock.after = (...parts) => {
      timers++
      return after(...parts)
    }
    await world.pass(10 * TIMEOUT_MS)
    expect(timers).toBeLessThan(100)
  })

  it('tries to move again when it could not be moved', async () => {
    const world = await setUp()
    world.refuseMoves(1)
    world.hang(true)
    world.call().catch(() => undefined)
    await world.pass(2 * TIMEOUT_MS)
    expect([world.moves, world.pool.status(world.ref)?.state]).toEqual([0, 'unready'])
    await world.pass(2 * TIMEOUT_MS)
    expect(world.moves).toBe(1)
    expect((await world.call()).outputs.size).toBe(2)
  })
})
