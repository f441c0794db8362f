// What rests and wakes, one thing at a time; everything at once is in pool.property.test.ts.
import { describe, expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeArtifact, fakeManifest, settled } from '../../../test/support/fake-backend.js'
import { type Digest, type HeadraceError, ManualClock, type ModelName, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { createPool } from '../pool.js'
import type { PoolOptions, VersionDescription, VersionDescriptions } from '../types.js'

const FRAUD = 'fraud' as ModelName
const v = (version: number, parts: Partial<VersionArtifact> = {}) =>
  fakeArtifact('fraud', version, { sizeBytes: 5, ...parts })

function setUp(options: Partial<PoolOptions> = {}, broken: (artifact: VersionArtifact) => boolean = () => false) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const loaded: string[] = []
  const open = new Set<FakeBackend>()
  const pool = createPool({
    platform,
    defer: queueMicrotask,
    factories: new Map([
      [
        'fake',
        async (artifact: VersionArtifact) => {
          loaded.push(`${artifact.ref.model}/${artifact.ref.version}`)
          if (broken(artifact)) throw new Error('disk on fire')
          const backend = new FakeBackend({ clock, runMs: 0 })
          backend.memoryBytes = () => 10
          backend.close = async () => void open.delete(backend)
          open.add(backend)
          return backend
        },
      ],
    ]),
    ...options,
  })
  const call = async (version: number | 'latest', model = FRAUD) => {
    const waking = pool.wake({ model, version })
    if (waking !== undefined) await waking
    const { leaf, ref } = pool.resolve(model, version)
    await leaf.call(doublerInput([[1]]), Deadline.in(clock, 5_000))
    return ref.version
  }
  const pass = async (ms: number, stepMs = 500) => {
    for (let left = ms; left > 0; left -= stepMs) {
      clock.advance(Math.min(stepMs, left))
      await settled()
    }
  }
  return { clock, platform, pool, loaded, open, call, pass }
}

async function refusal(work: Promise<unknown>): Promise<HeadraceError> {
  return work.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

function remembering(): VersionDescriptions & { readonly known: Map<Digest, VersionDescription> } {
  const known = new Map<Digest, VersionDescription>()
  return {
    known,
    get: ({ digest }) => known.get(digest),
    set: ({ digest }, description) => void known.set(digest, description),
  }
}

describe('a version that rests', () => {
  it('is loaded by the first call, once for all that come meanwhile, and is described from then on', async () => {
    const { pool, loaded, call } = setUp()
    expect(pool.register(v(1)).state).toBe('resting')
    expect(pool.get(v(1).ref)).toBe(undefined)
    expect(await Promise.all([call(1), call('latest'), call(1)])).toEqual([1, 1, 1])
    expect(loaded).toEqual(['fraud/1'])
    expect(pool.status(v(1).ref)?.state).toBe('ready')
    expect(pool.wake({ model: FRAUD, version: 1 })).toBe(undefined)
  })

  it('goes to rest again when nobody calls it, and its leaf wakes it', async () => {
    const { pool, loaded, open, call, pass } = setUp({ idleMs: 60_000 })
    pool.register(v(1))
    await call(1)
    const served = pool.get(v(1).ref)!
    await pass(30_000)
    expect(open.size).toBe(1)
    await pass(40_000)
    expect([open.size, pool.status(v(1).ref)?.state, pool.memory().usedBytes]).toEqual([0, 'resting', 0])
    expect(pool.latest(FRAUD)).toBe(served)
    await call('latest')
    expect(loaded).toEqual(['fraud/1', 'fraud/1'])
    // The same object: its circuit and its answers outlive its rest.
    expect(pool.get(v(1).ref)).toBe(served)
  })

  it('stays when it is pinned, when it was there from the start, and when idleMs is 0', async () => {
    const pinned = setUp({ idleMs: 10_000, pinned: ['fr*d'] })
    pinned.pool.register(v(1))
    const preloaded = setUp({ idleMs: 10_000 })
    await preloaded.pool.load(v(1))
    const never = setUp({ idleMs: 0 })
    never.pool.register(v(1))
    for (const { call, pass, open } of [pinned, preloaded, never]) {
      await call(1)
      await pass(60_000)
      expect(open.size).toBe(1)
    }
  })

  it('is known without being loaded when it was loaded once, by whatever server', async () => {
    const descriptions = remembering()
    const before = setUp({ descriptions })
    before.pool.register(v(1))
    await before.call(1)
    const { pool, loaded, call } = setUp({ descriptions })
    pool.register(v(1))
    expect(pool.wake({ model: FRAUD, version: 1 })).toBe(undefined)
    expect(pool.resolve(FRAUD, 'latest').signature).toEqual(before.pool.get(v(1).ref)!.signature)
    expect(loaded).toEqual([])
    await call(1)
    expect(loaded).toEqual(['fraud/1'])
  })

  it('refuses with the reason when its load fails, and is tried again after a pause that grows', async () => {
    let isBroken = true
    const { pool, loaded, call, pass } = setUp({}, () => isBroken)
    pool.register(v(1))
    expect((await refusal(call(1))).message).toContain('disk on fire')
    expect((await refusal(call(1))).code).toBe('SERVING_MODEL_UNREADY')
    expect(loaded.length).toBe(1)
    await pass(1_000)
    await refusal(call(1))
    await pass(1_000)
    await refusal(call(1))
    expect(loaded.length).toBe(2)
    isBroken = false
    await pass(1_000)
    expect(await call(1)).toBe(1)
  })

  it('tells a caller whose time is up, and loads on for the next', async () => {
    const { pool, clock, call } = setUp({
      factories: new Map([
        [
          'fake',
          async () => {
            await new Promise<void>((resolve) => clock.after(300, resolve))
            return new FakeBackend({ clock, runMs: 0 })
          },
        ],
      ]),
    })
    pool.register(v(1))
    const late = refusal(pool.wake({ model: FRAUD, version: 1 }, 100)!)
    clock.advance(100)
    expect((await late).toJSON()).toMatchObject({ code: 'SERVING_DEADLINE_EXCEEDED', params: { phase: 'loading' } })
    clock.advance(200)
    await settled()
    expect(await call(1)).toBe(1)
  })
})

describe('a version that is remembered and loaded before anybody asks', () => {
  it('is not said to have been there before it is', async () => {
    const descriptions = remembering()
    const before = setUp({ descriptions })
    await before.pool.load(v(1))
    const { pool } = setUp({ descriptions })
    const loading = pool.load(v(1))
    expect([pool.get(v(1).ref), pool.latest(FRAUD), pool.lastSeen(FRAUD, 'latest')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    await loading
    expect(pool.latest(FRAUD)?.ref.version).toBe(1)
  })
})

describe('the latest of versions that rest', () => {
  it('is the highest number at the start, and the one before it when that cannot be loaded', async () => {
    const descriptions = remembering()
    const before = setUp({ descriptions })
    before.pool.register(v(1))
    await before.call(1)
    const { pool, call } = setUp({ descriptions }, ({ ref }) => ref.version === 2)
    pool.register(v(1))
    pool.register(v(2))
    expect(await call('latest')).toBe(1)
    expect(pool.status(v(2).ref)).toMatchObject({ state: 'failed', reason: /disk on fire/ })
    expect(pool.latest(FRAUD)?.ref.version).toBe(1)
  })

  it('changes to a newer version only when that has loaded, which nobody has to ask for', async () => {
    let isBroken = true
    const { pool, call } = setUp({}, ({ ref }) => ref.version > 1 && isBroken)
    pool.register(v(1))
    await call('latest')
    pool.register(v(2))
    expect(pool.latest(FRAUD)?.ref.version).toBe(1)
    await settled()
    expect(pool.status(v(2).ref)?.state).toBe('failed')
    expect(await call('latest')).toBe(1)
    isBroken = false
    pool.register(v(3))
    await settled()
    expect(await call('latest')).toBe(3)
  })
})

describe('memory', () => {
  it('refuses a version that is larger than all there is, with both sizes', async () => {
    const { pool, call } = setUp({ budgetBytes: 8 * 2 ** 20 })
    pool.register(v(1, { sizeBytes: 6 * 2 ** 20 }))
    const error = await refusal(call(1))
    expect(error.toJSON()).toMatchObject({
      code: 'SERVING_MODEL_TOO_LARGE',
      status: 507,
      params: { sizeMb: 12, budgetMb: 8 },
    })
  })

  it('says so also to callers of one that was to be there from the start', async () => {
    const { pool, call } = setUp({ budgetBytes: 8 * 2 ** 20 })
    await pool.load(v(1, { sizeBytes: 6 * 2 ** 20 }))
    expect((await refusal(call(1))).code).toBe('SERVING_MODEL_TOO_LARGE')
  })

  it('leaves a version at rest that was to be there from the start and does not fit', async () => {
    const { pool, loaded, pass, call } = setUp({ budgetBytes: 25 })
    const states = await Promise.all(
      [1, 2, 3].map((version) => pool.load(fakeArtifact(`m${version}`, 1, { sizeBytes: 5 }))),
    )
    expect(states.map(({ state }) => state)).toEqual(['ready', 'ready', 'resting'])
    expect(states[2]!.reason).toContain('no room')
    await pass(2_000)
    expect(await call('latest', 'm3' as ModelName)).toBe(1)
    expect(loaded).toEqual(['m1/1', 'm2/1', 'm3/1'])
    expect(pool.memory().usedBytes).toBe(20)
  })

  it('counts what was measured in place of the estimate, and makes room when it is more', async () => {
    const descriptions = remembering()
    const { pool, pass, call } = setUp({ budgetBytes: 30, descriptions, measure: async () => 25 })
    for (const model of ['a', 'b']) {
      pool.register(fakeArtifact(model, 1, { sizeBytes: 5 }))
      await call('latest', model as ModelName)
    }
    expect(pool.memory().versions.map(({ sizeBytes, isMeasured }) => [sizeBytes, isMeasured])).toEqual([
      [10, false],
      [10, false],
    ])
    await pass(10_000)
    const { usedBytes, versions } = pool.memory()
    expect(versions.some(({ isMeasured, sizeBytes }) => isMeasured && sizeBytes === 25)).toBe(true)
    expect(usedBytes).toBeLessThanOrEqual(30)
    expect([...descriptions.known.values()].some(({ isMeasured }) => isMeasured)).toBe(true)
  })

  it('unloads what is called least when the process takes more than its budget explains, and stops when that brings nothing', async () => {
    let residentBytes = 0
    const { pool, open, pass, call } = setUp({ budgetBytes: 1_000, residentBytes: () => residentBytes })
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as ModelName[]
    for (const model of names) {
      pool.register(fakeArtifact(model, 1, { sizeBytes: 5 }))
      await call('latest', model)
    }
    residentBytes = 2 ** 30
    await pass(5_000)
    expect(open.size).toBe(8)
    await pass(5_000)
    expect(open.size).toBe(7)
    await pass(60_000)
    expect(open.size).toBeGreaterThanOrEqual(3)
  })
})

describe('a version whose files are damaged while it rests', () => {
  it('is loaded from the copy that was kept of them', async () => {
    const good = v(1)
    const copy = { ...good, file: 'copy/model.fake' }
    const kept: string[] = []
    let isDamaged = false
    const { pool, pass, call } = setUp(
      {
        idleMs: 2_000,
        kept: {
          keep: async ({ file }) => void kept.push(file),
          find: async () => (isDamaged ? copy : undefined),
          forget: async () => {},
        },
      },
      ({ file }) => isDamaged && file === good.file,
    )
    pool.register(good)
    await call(1)
    expect(kept).toEqual([good.file])
    isDamaged = true
    await pass(10_000)
    expect(pool.status(good.ref)?.state).toBe('resting')
    expect(await call(1)).toBe(1)
  })
})

describe('a version that another is loaded in the place of', () => {
  it('hands those who still hold it to that one', async () => {
    const { pool, call, clock } = setUp()
    pool.register(v(1))
    await call(1)
    const { leaf } = pool.get(v(1).ref)!
    const staged = await pool.stage(v(1, { manifest: fakeManifest({ timeoutMs: 5 }) }))
    await staged.commit()
    const { outputs } = await leaf.call(doublerInput([[4]]), Deadline.none(clock))
    expect((outputs.get('double')!.data as Float32Array)[0]).toBe(8)
    expect(pool.get(v(1).ref)?.manifest.timeoutMs).toBe(5)
  })

  it('forgets a version that rested when another has taken its place', async () => {
    const { pool, call } = setUp()
    pool.register(v(1))
    const staged = await pool.stage(v(1))
    await staged.commit()
    expect(pool.wake({ model: FRAUD, version: 1 })).toBeUndefined()
    await call(1)
    await pool.unload(v(1).ref)
    expect(pool.isServing).toBe(false)
  })
})

describe('versions that wait for room', () => {
  it('loads what fits while a newer version waits for room that may never come', async () => {
    const { pool, call, pass } = setUp({ budgetBytes: 25, pinned: ['fraud'] })
    pool.register(v(1))
    await call(1)
    pool.register(v(2, { sizeBytes: 10 }))
    await pass(10_000)
    expect(pool.status(v(2).ref)?.state).toBe('loading')
    pool.register(fakeArtifact('small', 1, { sizeBytes: 5 }))
    expect(await Promise.race([call(1, 'small' as ModelName), pass(5_000)])).toBe(1)
  })

  it('loads what has its reservation while others wait for what is shared', async () => {
    const reservations = [{ name: 'mine', models: ['mine'], bytes: 10 }]
    const { pool, call, pass } = setUp({ budgetBytes: 20, pinned: ['fraud'], reservations })
    pool.register(v(1))
    await call(1)
    pool.register(fakeArtifact('other', 1, { sizeBytes: 5 }))
    const waiting = refusal(call(1, 'other' as ModelName))
    await pass(2_000)
    pool.register(fakeArtifact('mine', 1, { sizeBytes: 5 }))
    expect(await Promise.race([call(1, 'mine' as ModelName), pass(1_000)])).toBe(1)
    await pass(5_000)
    expect((await waiting).code).toBe('SERVING_POOL_FULL')
  })

  it('are told how many wait before them when those are too many, and that it is not the memory', async () => {
    const { pool, call, pass } = setUp({ budgetBytes: 1000 })
    const calls = Array.from({ length: 80 }, (_, i) => {
      pool.register(fakeArtifact(`m${i}`, 1, { sizeBytes: 5 }))
      return call(1, `m${i}` as ModelName).catch((error: HeadraceError) => error)
    })
    await pass(2_000)
    const refused = (await Promise.all(calls)).filter((answer) => typeof answer === 'object')
    expect(refused.length).toBeGreaterThan(0)
    for (const { code, message } of refused) {
      expect(code).toBe('SERVING_POOL_FULL')
      expect(message).toMatch(/and 64 others wait to be loaded before it/)
    }
  })
})
