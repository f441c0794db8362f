// Whatever is called, loads, fails, hangs, is unloaded or killed, in whatever order: what is held fits the budget, nobody who is in use is
// sent away, and everybody gets an answer or a reason. A world that counts for itself, slowly and obviously, is the judge.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeArtifact, fakeManifest, settled } from '../../../test/support/fake-backend.js'
import { type HeadraceError, ManualClock, type ModelName, testPlatform, versionKey } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { ServingErrors } from '../errors.js'
import { createPool } from '../pool.js'
import type { Pool, PoolOptions } from '../types.js'

const BUDGET = 100
const RESERVED = 30
const SHORTEST_STAY_MS = 1_000

interface ModelKind {
  readonly bytes: number
  readonly loadMs: number | 'hangs'
  /** Loads that fail before one succeeds. */
  readonly failures: number
  readonly runMs: number
  readonly isPinned: boolean
  readonly isPreloaded: boolean
}

interface Held {
  readonly model: string
  readonly bytes: number
  readonly backend: FakeBackend | undefined
}

type Event =
  | { readonly kind: 'call'; readonly model: number; readonly limitMs: number; readonly rows: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'unload' | 'kill'; readonly model: number }

interface Outcome {
  readonly startedMs: number
  readonly limitMs: number
  endedMs: number | undefined
  value: number | undefined
  error: HeadraceError | undefined
}

const ALLOWED = new Set([
  'SERVING_POOL_FULL',
  'SERVING_MODEL_TOO_LARGE',
  'SERVING_MODEL_UNREADY',
  'SERVING_DEADLINE_EXCEEDED',
  'SERVING_OVERLOADED',
  'SERVING_MODEL_NOT_FOUND',
])

class World {
  readonly clock = new ManualClock()
  readonly held = new Set<Held>()
  readonly problems: string[] = []
  readonly outcomes: Outcome[] = []
  readonly pool: Pool
  loads = 0
  /** Versions that the test itself sends away, once for each time that is under way. */
  readonly #sentAway: string[] = []
  readonly #failures: number[]
  readonly reservedBytes: number

  constructor(
    readonly kinds: readonly ModelKind[],
    options: Partial<PoolOptions> = {},
  ) {
    this.#failures = kinds.map(({ failures }) => failures)
    this.reservedBytes = options.reservations === undefined ? RESERVED : 0
    this.pool = createPool({
      platform: testPlatform({ clock: this.clock }),
      factories: new Map([['fake', (artifact) => this.#load(artifact)]]),
      defer: queueMicrotask,
      budgetBytes: BUDGET,
      reservations: [{ name: 'kept', models: ['m0', 'm1'], bytes: RESERVED }],
      loadTimeoutMs: 3_000,
      ...options,
    })
  }

  artifact(number: number): VersionArtifact {
    const { bytes, isPinned } = this.kinds[number]!
    const manifest = fakeManifest({ ...(isPinned ? { pinned: true } : undefined), timeoutMs: 60_000 })
    return fakeArtifact(`m${number}`, 1, { manifest, sizeBytes: bytes / 2 })
  }

  async start(): Promise<void> {
    for (let i = 0; i < this.kinds.length; i++) {
      if (this.kinds[i]!.isPreloaded) void this.pool.load(this.artifact(i))
      else this.pool.register(this.artifact(i))
    }
    await this.advance(300)
  }

  async #load({ ref }: VersionArtifact): Promise<FakeBackend> {
    const number = Number(ref.model.slice(1))
    const { bytes, loadMs, runMs, isPinned } = this.kinds[number]!
    const { clock } = this
    this.loads++
    // A load that hung was given up, and what it takes still counts.
    for (const other of this.held)
      if (other.model === ref.model && loadMs !== 'hangs')
        this.problems.push(`${ref.model} is loaded while it is there`)
    let held: Held = { model: ref.model, bytes, backend: undefined }
    this.held.add(held)
    this.check()
    if (loadMs === 'hangs') await new Promise(() => {})
    else if (loadMs > 0) await new Promise<void>((resolve) => clock.after(loadMs, resolve))
    if (this.#failures[number]! > 0) {
      this.#failures[number]!--
      this.held.delete(held)
      throw new Error('this load fails')
    }
    const backend = new FakeBackend({ clock, runMs: (_, count) => (count <= 2 ? 0 : runMs) })
    backend.memoryBytes = () => bytes
    backend.close = async () => {
      if (backend.pending.length > 0) this.problems.push(`${ref.model} is closed while it runs`)
      const isMine = this.#sentAway.includes(ref.model)
      if (isPinned && !isMine) this.problems.push(`${ref.model} is pinned, and was unloaded`)
      // Memory comes back a little later.
      await new Promise<void>((resolve) => clock.after(5, resolve))
      this.held.delete(held)
    }
    this.held.delete(held)
    held = { ...held, backend }
    this.held.add(held)
    return backend
  }

  check(): void {
    let all = 0
    let others = 0
    for (const { model, bytes } of this.held) {
      all += bytes
      if (model !== 'm0' && model !== 'm1') others += bytes
    }
    if (all > BUDGET) this.problems.push(`${all} of ${BUDGET} bytes are held`)
    if (this.reservedBytes > 0 && others > BUDGET - this.reservedBytes)
      this.problems.push(`${others} bytes are held, with ${RESERVED} of them reserved`)
    const { usedBytes } = this.pool.memory()
    if (usedBytes > BUDGET) this.problems.push(`the pool says that it uses ${usedBytes}`)
  }

  call(number: number, limitMs: number, rows = 1): Outcome {
    const { clock } = this
    const startedMs = clock.monotonicMs()
    const outcome: Outcome = { startedMs, limitMs, endedMs: undefined, value: undefined, error: undefined }
    this.outcomes.push(outcome)
    const model = `m${number}` as ModelName
    const deadline = limitMs === Number.POSITIVE_INFINITY ? Deadline.none(clock) : Deadline.in(clock, limitMs)
    const calling = async () => {
      const waking = this.pool.wake({ model, version: 'latest' }, Number.isFinite(limitMs) ? limitMs : undefined)
      if (waking !== undefined) await waking
      const { leaf } = this.pool.resolve(model, 'latest')
      const input = doublerInput(Array.from({ length: rows }, () => [21]))
      const { outputs } = await leaf.call(input, deadline)
      return (outputs.get('double')!.data as Float32Array)[0]!
    }
    void calling().then(
      (value) => Object.assign(outcome, { value, endedMs: clock.monotonicMs() }),
      (error) => Object.assign(outcome, { error, endedMs: clock.monotonicMs() }),
    )
    return outcome
  }

  async unload(number: number): Promise<void> {
    const { ref } = this.artifact(number)
    this.#sentAway.push(ref.model)
    void this.pool.unload(ref).then(() => {
      this.#isSent(ref.model)
      this.pool.register(this.artifact(number))
    })
  }

  kill(number: number): void {
    const { ref } = this.artifact(number)
    if (this.pool.status(ref)?.state !== 'ready') return
    this.#sentAway.push(ref.model)
    const error = ServingErrors.RUN_FAILED({ ...ref, detail: 'the thread died' })
    const doomed = [...this.held].find(({ model }) => model === ref.model)?.backend
    for (const run of doomed?.pending ?? []) run.fail(error)
    void this.pool.restart(ref, error).then(() => this.#isSent(ref.model))
  }

  #isSent(model: string): void {
    this.#sentAway.splice(this.#sentAway.indexOf(model), 1)
  }

  async advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10) {
      this.clock.advance(Math.min(10, left))
      await settled()
      await settled()
      this.check()
    }
  }
}

const model: fc.Arbitrary<ModelKind> = fc.record({
  bytes: fc.constantFrom(10, 10, 20, 20, 40, 60, 120),
  loadMs: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(0, 10, 30, 150) },
    { weight: 1, arbitrary: fc.constant('hangs' as const) },
  ),
  failures: fc.constantFrom(0, 0, 0, 0, 1, 2),
  runMs: fc.constantFrom(0, 0, 10, 50),
  isPinned: fc.constantFrom(false, false, false, false, true),
  isPreloaded: fc.constantFrom(false, false, true),
})
const numbers = fc.nat({ max: 7 })
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      model: numbers,
      limitMs: fc.constantFrom(20, 200, 2_000, 6_000, Number.POSITIVE_INFINITY),
      rows: fc.constantFrom(1, 1, 3),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(0, 10, 40, 200, 1_200) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('unload' as const, 'kill' as const), model: numbers }) },
)

describe('the pool under everything at once', () => {
  it('keeps to its budget and its reservations, sends nobody away who is in use, and answers every call', async () => {
    const kinds = fc.array(model, { minLength: 8, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(kinds, fc.array(event, { minLength: 10, maxLength: 60 }), async (models, events) => {
        const world = new World(models)
        await world.start()
        for (const event of events) {
          if (event.kind === 'call') world.call(event.model, event.limitMs, event.rows)
          else if (event.kind === 'advance') await world.advance(event.ms)
          else if (event.kind === 'unload') await world.unload(event.model)
          else world.kill(event.model)
          await settled()
          world.check()
        }
        await world.advance(12_000)
        for (const { startedMs, endedMs, limitMs, value, error } of world.outcomes) {
          if (endedMs === undefined) world.problems.push(`a call with ${limitMs} ms has no answer`)
          else if (endedMs > startedMs + limitMs + 10)
            world.problems.push(`a call with ${limitMs} ms was answered after ${endedMs - startedMs}`)
          if (value !== undefined && value !== 42) world.problems.push(`the answer is ${value}`)
          if (error !== undefined && !ALLOWED.has(error.code) && !error.message.includes('the thread died'))
            world.problems.push(`${error.code}: ${error.message}`)
        }
        expect(world.problems).toEqual([])
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  it('answers whoever asks once it is quiet again, and holds nothing when it is closed', async () => {
    const kinds = fc.array(model, { minLength: 8, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(kinds, fc.array(event, { maxLength: 30 }), async (given, events) => {
        // What is held for good by a load that hangs, or by what is pinned, is not there for others.
        const models = given.map((kind) => ({
          ...kind,
          loadMs: kind.loadMs === 'hangs' ? 10 : kind.loadMs,
          isPinned: false,
        }))
        const world = new World(models)
        await world.start()
        for (const event of events) {
          if (event.kind === 'call') world.call(event.model, event.limitMs, event.rows)
          else if (event.kind === 'advance') await world.advance(event.ms)
          else if (event.kind === 'unload') await world.unload(event.model)
          else world.kill(event.model)
        }
        await world.advance(12_000)
        for (const [number, { bytes, isPreloaded, failures }] of models.entries()) {
          const ofAll = number < 2 ? BUDGET : BUDGET - RESERVED
          // A version that was to be there from the start, and failed, waits for a person.
          if (bytes > ofAll || (isPreloaded && failures > 0)) continue
          // Failed loads are tried again after a while.
          let outcome = world.call(number, 5_000)
          for (let i = 0; i < 4; i++) {
            await world.advance(5_500)
            if (outcome.value === 42) break
            outcome = world.call(number, 5_000)
          }
          expect(outcome.error).toBe(undefined)
          expect(outcome.value).toBe(42)
        }
        const closing = world.pool.close()
        await world.advance(100)
        await closing
        expect([...world.held].map((held) => held.model)).toEqual([])
        expect(world.pool.memory().usedBytes).toBe(0)
        expect(world.problems).toEqual([])
      }),
      { numRuns: 25 },
    )
  }, 60_000)
})

const SMALL: ModelKind = { bytes: 10, loadMs: 30, failures: 0, runMs: 0, isPinned: false, isPreloaded: false }

describe('more models in use than fit', () => {
  it('loads at a bounded rate when they are called one after the other, round and round', async () => {
    const world = new World(
      Array.from({ length: 30 }, () => SMALL),
      { reservations: [] },
    )
    await world.start()
    for (let i = 0; i < 2_000; i++) {
      world.call(i % 30, 5_000)
      await world.advance(10)
    }
    const seconds = world.clock.monotonicMs() / 1000
    // Ten fit, and each that comes stays for a second.
    expect(world.loads).toBeLessThanOrEqual(10 + (10 * seconds * 1000) / SHORTEST_STAY_MS)
    const answered = world.outcomes.filter(({ value }) => value === 42).length
    expect(answered).toBeGreaterThan(world.outcomes.length / 3)
    expect(world.problems).toEqual([])
  }, 60_000)

  it('leaves those alone that are called all the time, whoever else is called once', async () => {
    const world = new World(
      Array.from({ length: 108 }, () => SMALL),
      { reservations: [] },
    )
    await world.start()
    const slow: number[] = []
    const cold: Outcome[] = []
    for (let i = 0; i < 6_000; i++) {
      const hot = world.call(i % 8, 5_000)
      // Eight are hot, and a hundred are called once each, again and again: only two of those fit beside the hot ones.
      if (i % 60 === 59) cold.push(world.call(8 + (((i / 60) | 0) % 100), 5_000))
      await world.advance(10)
      if (i > 200 && hot.endedMs === undefined) slow.push(i)
    }
    await world.advance(6_000)
    expect(slow).toEqual([])
    expect(cold.filter(({ value }) => value === 42).length).toBeGreaterThanOrEqual(cold.length * 0.9)
    expect(world.problems).toEqual([])
  }, 60_000)

  it('lets something cold in although all that is loaded is hot, but not often', async () => {
    const world = new World(
      Array.from({ length: 12 }, () => SMALL),
      { reservations: [] },
    )
    await world.start()
    for (let i = 0; i < 3_000; i++) {
      world.call(i % 10, 5_000)
      await world.advance(10)
    }
    const before = world.loads
    const cold = world.call(10, 5_000)
    for (let i = 0; i < 300; i++) {
      world.call(i % 10, 5_000)
      await world.advance(10)
    }
    expect(cold.value).toBe(42)
    expect(world.loads - before).toBeLessThanOrEqual(6)
    expect(world.outcomes.filter(({ error }) => error !== undefined)).toEqual([])
  }, 60_000)
})

describe('the versions of the world', () => {
  it('are known by their names', () => {
    expect(versionKey(new World([SMALL]).artifact(0).ref)).toBe('m0/1')
  })
})
