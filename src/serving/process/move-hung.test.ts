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
  const inProcess = new FakeBackend({ clock, runMs: 0 })
  let moves = 0
  const factory = movingHung(
    async () => inThread,
    async ({ manifest }) => {
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
})
