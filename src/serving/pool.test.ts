import { describe, expect, it } from 'vitest'
import {
  computeDouble,
  DOUBLER,
  doublerInput,
  FakeBackend,
  fakeArtifact,
  fakeFactories,
  fakeManifest,
  settled,
  tensors,
} from '../../test/support/fake-backend.js'
import { type Digest, type HeadraceError, ManualClock, type ModelName, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { TensorMap, VersionArtifact } from '../tensor/index.js'
import { ServingErrors } from './errors.js'
import { createPool } from './pool.js'
import type { Backend, PoolOptions, VersionState } from './types.js'

const FRAUD = 'fraud' as ModelName

function setUp(
  options: Partial<PoolOptions> & { create?: (artifact: VersionArtifact) => Backend | Promise<Backend> } = {},
) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const backends: FakeBackend[] = []
  const create = () => {
    const backend = new FakeBackend({ clock, runMs: 0 })
    backends.push(backend)
    return backend
  }
  const factories = fakeFactories(options.create ?? create)
  const pool = createPool({ platform, factories, ...options })
  const changes: [number, VersionState][] = []
  pool.watch(({ ref, state }) => changes.push([ref.version, state]))
  const predict = async (version: number | 'latest', value: number) => {
    const { leaf } = pool.resolve(FRAUD, version)
    const { outputs } = await leaf.call(doublerInput([[value]]), Deadline.none(clock))
    return (outputs.get('double')!.data as Float32Array)[0]
  }
  return { clock, platform, pool, changes, backends, predict }
}

/** The error a call throws or rejects with. */
async function refusal(call: () => unknown): Promise<HeadraceError> {
  try {
    await call()
  } catch (error) {
    return error as HeadraceError
  }
  throw new Error('nothing was thrown')
}

describe('loading', () => {
  it('serves a version once it has answered a test prediction', async () => {
    const { pool, changes, backends, platform, predict } = setUp()
    const artifact = fakeArtifact('fraud', 1)
    const loading = pool.load(artifact)
    expect(pool.get(artifact.ref)).toBe(undefined)
    expect(await platform.metrics.expose()).toContain('ml_model_ready{model="fraud",version="1"} 0')
    expect(await loading).toEqual({ ref: artifact.ref, state: 'ready', reason: undefined, error: undefined })
    // One row of zeros alone, then two together.
    expect(backends[0]!.runs.map((run) => run.batch.get('x')!.shape)).toEqual([
      [1, 1],
      [2, 1],
    ])
    expect(changes).toEqual([
      [1, 'loading'],
      [1, 'ready'],
    ])
    expect(pool.get(artifact.ref)).toMatchObject({
      ref: artifact.ref,
      digest: artifact.digest,
      signature: DOUBLER,
      isolation: 'thread',
    })
    expect(await predict(1, 21)).toBe(42)
    expect(await platform.metrics.expose()).toContain('ml_model_ready{model="fraud",version="1"} 1')
  })

  it('uses the warm-up rows of the manifest when it is told how', async () => {
    const { pool, backends } = setUp({
      warmupInputs: ({ manifest }) =>
        manifest.warmup.map(({ inputs }) => doublerInput([[Number(inputs['x'])]]).tensors),
    })
    await pool.load(
      fakeArtifact('fraud', 1, { manifest: fakeManifest({ warmup: [{ inputs: { x: 7 } }, { inputs: { x: 8 } }] }) }),
    )
    expect(backends[0]!.runs.map((run) => [...(run.batch.get('x')!.data as Float32Array)])).toEqual([[7], [8], [7, 8]])
  })

  it('finds out before the first caller that a model cannot be batched', async () => {
    const clock = new ManualClock()
    const compute = (batch: TensorMap) => {
      const total = (batch.get('x')!.data as Float32Array).reduce((a, b) => a + b, 0)
      const sum = { name: 'sum', datatype: 'FP32' as const, shape: [1], data: Float32Array.of(total) }
      return tensors(computeDouble(batch).get('double')!, sum)
    }
    const backend = new FakeBackend({ clock, compute, runMs: 0 })
    const { pool, predict } = setUp({ create: () => backend })
    await pool.load(fakeArtifact('fraud', 1))
    const before = backend.runs.length
    await Promise.all([predict(1, 1), predict(1, 2)])
    expect(backend.runs.slice(before).map((run) => run.rows)).toEqual([1, 1])
  })

  it('loads a version once, however often it is asked to', async () => {
    const { pool, backends } = setUp()
    const artifact = fakeArtifact('fraud', 1)
    const [first, second] = await Promise.all([pool.load(artifact), pool.load(artifact)])
    expect(first).toEqual(second)
    expect(await pool.load(artifact)).toEqual(first)
    expect(backends.length).toBe(1)
  })

  it('refuses other files under a number that is taken, and goes on serving the first', async () => {
    const { pool, backends, predict } = setUp()
    await pool.load(fakeArtifact('fraud', 1))
    const status = await pool.load(fakeArtifact('fraud', 1, { digest: `sha256:${'f'.repeat(64)}` as Digest }))
    expect(status).toMatchObject({ state: 'ready', error: { code: 'SERVING_VERSION_CHANGED' } })
    expect(pool.status({ model: FRAUD, version: 1 })).toMatchObject({ state: 'ready', error: undefined })
    expect(backends.length).toBe(1)
    expect(await predict(1, 1)).toBe(2)
  })

  const failures: [string, (clock: ManualClock) => Backend | Promise<Backend>, string, string][] = [
    [
      'a backend that refuses it',
      () => {
        throw ServingErrors.OUTPUT_MISMATCH({ model: 'fraud', version: 2, output: 'y', detail: 'bad' })
      },
      'SERVING_OUTPUT_MISMATCH',
      "output 'y'",
    ],
    ['a backend that breaks', () => Promise.reject(new Error('disk on fire')), 'SERVING_LOAD_FAILED', 'disk on fire'],
    [
      'a test prediction that fails',
      (clock) => new FakeBackend({ clock, runMs: () => new Error('no such operator') }),
      'SERVING_WARMUP_FAILED',
      'no such operator',
    ],
  ]
  it.each(failures)(
    'keeps the previous version serving after %s, says why, and tries again when asked',
    async (_, create, code, text) => {
      const clock = new ManualClock()
      let isBroken = true
      const good = () => new FakeBackend({ clock, runMs: 0 })
      const { pool, predict } = setUp({
        create: ({ ref }) => (ref.version === 2 && isBroken ? create(clock) : good()),
      })
      await pool.load(fakeArtifact('fraud', 1))
      const status = await pool.load(fakeArtifact('fraud', 2))
      expect(status).toMatchObject({ state: 'failed', error: { code } })
      expect(status.reason).toContain(text)
      expect(pool.statuses().map(({ ref, state }) => [ref.version, state])).toEqual([
        [1, 'ready'],
        [2, 'failed'],
      ])
      expect(pool.latest(FRAUD)?.ref.version).toBe(1)
      expect(await predict('latest', 3)).toBe(6)
      isBroken = false
      expect(await pool.load(fakeArtifact('fraud', 2))).toMatchObject({ state: 'ready' })
      expect(pool.latest(FRAUD)?.ref.version).toBe(2)
    },
  )

  it('closes the backend of a version whose test prediction failed', async () => {
    const backend = new FakeBackend({ clock: new ManualClock(), runMs: () => new Error('no') })
    const { pool } = setUp({ create: () => backend })
    await pool.load(fakeArtifact('fraud', 1))
    expect(backend.isClosed).toBe(true)
  })

  it('fails a version whose test prediction hangs', async () => {
    const clock = new ManualClock()
    const { pool } = setUp({
      create: () => new FakeBackend({ clock, runMs: 'hold' as never }),
      platform: testPlatform({ clock }),
    })
    const loading = pool.load(fakeArtifact('fraud', 1, { manifest: fakeManifest({ timeoutMs: 500 }) }))
    await settled()
    clock.advance(500)
    expect(await loading).toMatchObject({ state: 'failed', error: { code: 'SERVING_WARMUP_FAILED' } })
  })

  it('names the backends there are when the one asked for is not', async () => {
    const { pool } = setUp()
    const { error } = await pool.load(fakeArtifact('fraud', 1, { backend: 'tensorflow' }))
    expect(error).toMatchObject({ code: 'SERVING_BACKEND_UNKNOWN', params: { backend: 'tensorflow', known: ['fake'] } })
  })
})

describe('finding a version', () => {
  it('gives the highest ready number as the latest, whatever the order of loading', async () => {
    const { pool } = setUp()
    for (const version of [2, 10, 9]) await pool.load(fakeArtifact('fraud', version))
    expect(pool.latest(FRAUD)?.ref.version).toBe(10)
    expect(pool.resolve(FRAUD, 'latest').ref.version).toBe(10)
    await pool.unload({ model: FRAUD, version: 10 })
    expect(pool.latest(FRAUD)?.ref.version).toBe(9)
  })

  it('says what is there when a model or version is not', async () => {
    const { pool } = setUp()
    await pool.load(fakeArtifact('fraud', 1))
    await pool.load(fakeArtifact('fraud', 3))
    const model = await refusal(() => pool.resolve('churn' as ModelName, 'latest'))
    expect(model.toJSON()).toMatchObject({ code: 'SERVING_MODEL_NOT_FOUND', status: 404, params: { known: ['fraud'] } })
    expect(model.message).toContain("Request for unknown model: 'churn' is not found")
    const version = await refusal(() => pool.resolve(FRAUD, 2))
    expect(version.toJSON()).toMatchObject({ code: 'SERVING_VERSION_NOT_FOUND', params: { known: [1, 3] } })
  })

  it('says why a version that is known does not serve', async () => {
    const { pool } = setUp({ create: () => Promise.reject(new Error('disk on fire')) })
    const loading = pool.load(fakeArtifact('fraud', 1))
    expect((await refusal(() => pool.resolve(FRAUD, 'latest'))).message).toContain('it is loading')
    await loading
    const error = await refusal(() => pool.resolve(FRAUD, 1))
    expect(error.toJSON()).toMatchObject({ code: 'SERVING_MODEL_UNREADY', status: 503, retry: true })
    expect(error.message).toContain('disk on fire')
  })
})

describe('a version whose run hangs', () => {
  it('is unready until the run returns, and the one before it is the latest meanwhile', async () => {
    const clock = new ManualClock()
    const backends: FakeBackend[] = []
    const { pool, changes } = setUp({
      platform: testPlatform({ clock }),
      create: () => {
        // Both test predictions answer; the third run hangs.
        const backend = new FakeBackend({ clock, runMs: (_, number) => (number < 3 ? 0 : 'hold') })
        backends.push(backend)
        return backend
      },
    })
    const manifest = fakeManifest({ timeoutMs: 100 })
    for (const version of [1, 2]) await pool.load(fakeArtifact('fraud', version, { manifest }))
    const { leaf } = pool.resolve(FRAUD, 'latest')
    const hung = refusal(() => leaf.call(doublerInput([[1]]), Deadline.none(clock)))
    await settled()
    clock.advance(100)
    expect((await hung).code).toBe('SERVING_RUN_TIMEOUT')
    expect(pool.status({ model: FRAUD, version: 2 })).toMatchObject({ state: 'unready', reason: /limit of 100 ms/ })
    expect(pool.latest(FRAUD)?.ref.version).toBe(1)
    // Asked for by number it is found, and refuses for itself.
    const refused = await refusal(() => pool.resolve(FRAUD, 2).leaf.call(doublerInput([[1]]), Deadline.none(clock)))
    expect(refused.code).toBe('SERVING_MODEL_UNREADY')
    backends[1]!.runs[2]!.finish()
    await settled()
    expect(pool.latest(FRAUD)?.ref.version).toBe(2)
    expect(changes.slice(4)).toEqual([
      [2, 'unready'],
      [2, 'ready'],
    ])
  })
})

describe('unloading', () => {
  it('answers the calls in flight and those on their way, then frees the backend', async () => {
    const clock = new ManualClock()
    const backend = new FakeBackend({ clock, runMs: (_, number) => (number < 3 ? 0 : 'hold') })
    const { pool, changes, platform } = setUp({ create: () => backend })
    const { ref } = await pool.load(fakeArtifact('fraud', 1))
    const { leaf } = pool.get(ref)!
    const inFlight = leaf.call(doublerInput([[1]]), Deadline.none(clock))
    await settled()
    const unloading = pool.unload(ref)
    expect(pool.get(ref)).toBe(undefined)
    expect(pool.latest(FRAUD)).toBe(undefined)
    const onItsWay = leaf.call(doublerInput([[2]]), Deadline.none(clock))
    backend.runs[2]!.finish()
    await settled()
    expect(backend.isClosed).toBe(false)
    backend.runs[3]!.finish()
    await Promise.all([inFlight, onItsWay, unloading])
    expect(backend.isClosed).toBe(true)
    expect(pool.statuses()).toEqual([])
    expect(changes.slice(2)).toEqual([
      [1, 'unloading'],
      [1, 'unloaded'],
    ])
    expect((await refusal(() => leaf.call(doublerInput([[3]]), Deadline.none(clock)))).code).toBe(
      'SERVING_MODEL_UNREADY',
    )
    expect(await platform.metrics.expose()).not.toContain('fraud')
  })

  it('waits for a load under way, and a load waits for an unload', async () => {
    const { pool, changes, predict } = setUp()
    const artifact = fakeArtifact('fraud', 1)
    const loading = pool.load(artifact)
    const unloading = pool.unload(artifact.ref)
    expect((await loading).state).not.toBe('failed')
    const again = pool.load(artifact)
    await unloading
    expect((await again).state).toBe('ready')
    expect(await predict(1, 1)).toBe(2)
    expect(changes.map(([, state]) => state)).toEqual(['loading', 'ready', 'unloading', 'unloaded', 'loading', 'ready'])
  })

  it('leaves a backend behind that does not close in time', async () => {
    const clock = new ManualClock()
    const backend = new FakeBackend({ clock, runMs: 0 })
    backend.close = () => new Promise(() => undefined)
    const { pool } = setUp({ create: () => backend, platform: testPlatform({ clock }), closeTimeoutMs: 50 })
    const { ref } = await pool.load(fakeArtifact('fraud', 1))
    const unloading = pool.unload(ref)
    await settled()
    clock.advance(50)
    await unloading
    expect(pool.statuses()).toEqual([])
  })

  it('does nothing for a version that is not there', async () => {
    const { pool } = setUp()
    await pool.unload({ model: FRAUD, version: 1 })
  })
})

describe('a version whose backend was lost', () => {
  const lost = ServingErrors.RUN_FAILED({ model: 'fraud', version: 1, detail: 'the thread died' })

  it('is loaded anew and serves again', async () => {
    const { pool, changes, backends, predict } = setUp()
    const { ref } = await pool.load(fakeArtifact('fraud', 1))
    const restarting = pool.restart(ref, lost)
    expect((await refusal(() => pool.resolve(FRAUD, 1))).message).toContain('the thread died')
    expect(pool.lastSeen(FRAUD, 1)?.ref).toEqual(ref)
    expect(pool.lastSeen(FRAUD, 'latest')?.ref).toEqual(ref)
    await restarting
    expect(backends.map((backend) => backend.isClosed)).toEqual([true, false])
    expect(await predict(1, 4)).toBe(8)
    expect(changes.map(([, state]) => state)).toEqual(['loading', 'ready', 'loading', 'ready'])
  })

  it('can be unloaded while it is loaded anew', async () => {
    const { pool, backends } = setUp()
    const { ref } = await pool.load(fakeArtifact('fraud', 1))
    await Promise.all([pool.restart(ref, lost), pool.unload(ref)])
    expect(pool.statuses()).toEqual([])
    expect(backends.every((backend) => backend.isClosed)).toBe(true)
  })
})

describe('watching and closing', () => {
  it('tells every watcher although one fails, and none that stopped', async () => {
    const { pool } = setUp()
    const seen: string[] = []
    pool.watch(() => {
      throw new Error('a careless watcher')
    })
    pool.watch(({ state }) => seen.push(state))
    const stop = pool.watch(() => seen.push('stopped'))
    stop()
    stop()
    expect((await pool.load(fakeArtifact('fraud', 1))).state).toBe('ready')
    expect(seen).toEqual(['loading', 'ready'])
  })

  it('unloads everything when it closes and loads nothing after that', async () => {
    const { pool, backends } = setUp()
    const artifact = fakeArtifact('fraud', 1)
    await pool.load(artifact)
    const late = pool.load(fakeArtifact('churn', 1))
    await pool.close()
    await late
    expect(backends.length).toBe(2)
    expect(backends.every((backend) => backend.isClosed)).toBe(true)
    expect(await pool.load(artifact)).toMatchObject({ state: 'failed', reason: 'the server is shutting down' })
    expect(pool.statuses()).toEqual([])
  })
})
