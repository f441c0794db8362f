// The rule on virtual time, where clocks run at different speeds, processes stand still and messages get lost; then the real thing.
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leaderContract } from '../../test/contract/leader-lease.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { type Clock, ManualClock, type Random, seededRandom, silentLogger, testPlatform } from '../core/index.js'
import { openSql } from '../store/index.js'
import { Contender } from './leader-lease.js'
import type { LeaseRow, LeaseStore } from './leader-table.js'

const LEASE_MS = 1_000

/** A machine: its clock runs at its own speed, and while it stands still nothing of it happens, though time goes on. */
class Machine implements Clock {
  #isPaused = false
  #missed: (() => void)[] = []

  constructor(
    private readonly world: ManualClock,
    private readonly speed: number,
  ) {}

  nowMs(): number {
    throw new Error('a lease asks no wall clock')
  }

  monotonicMs(): number {
    return 500 + this.world.monotonicMs() * this.speed
  }

  after(delayMs: number, callback: () => void) {
    let isCancelled = false
    const timer = this.world.after(delayMs / this.speed, () => this.run(() => isCancelled || callback()))
    return {
      cancel() {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  run(action: () => void): void {
    if (this.#isPaused) this.#missed.push(action)
    else action()
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (const action of this.#missed.splice(0)) action()
  }
}

class Store {
  row: LeaseRow = { holder: '', term: 0, counter: 0 }
  isDown = false

  constructor(
    private readonly world: ManualClock,
    private readonly random: Random,
    private readonly loss: number,
    private readonly delayMs = 150,
  ) {}

  of(machine: Machine): LeaseStore {
    const ask = <T>(act: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const delay = () => this.world.after.bind(this.world, this.random.next() * this.delayMs)
        const fail = () => delay()(() => machine.run(() => reject(new Error('lost'))))
        delay()(() => {
          const isAsked = !this.isDown && this.random.next() >= this.loss
          const value = isAsked ? act() : undefined
          const isAnswered = isAsked && this.random.next() >= this.loss
          if (isAnswered) delay()(() => machine.run(() => resolve(value as T)))
          else fail()
        })
      })
    return {
      read: () => ask(() => this.row),
      swap: (expected, next) =>
        ask(() => {
          const { holder, term, counter } = this.row
          const isSame = holder === expected.holder && term === expected.term && counter === expected.counter
          if (isSame) this.row = next
          return isSame
        }),
    }
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('a leader lease', () => {
  it('is held by one at a time at most, by somebody when it can be, and each term by one alone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(fc.double({ min: 0.96, max: 1.04, noNaN: true }), { minLength: 2, maxLength: 4 }),
        fc.constantFrom(0, 0.1, 0.3),
        async (seed, speeds, loss) => {
          const world = new ManualClock()
          const random = seededRandom(seed)
          const store = new Store(world, random, loss)
          const machines = speeds.map((speed) => new Machine(world, speed))
          const contenders = machines.map(
            (machine, i) =>
              new Contender(store.of(machine), { clock: machine, logger: silentLogger }, 'test', `node ${i}`, LEASE_MS),
          )
          for (const contender of contenders) void contender.start()
          const holderOf = new Map<number, number>()
          let lastTerm = 0
          const look = () => {
            const leaders = contenders.flatMap((contender, i) => {
              const term = machines[i]!.isPaused ? undefined : contender.term()
              return term === undefined ? [] : [{ i, term }]
            })
            expect(leaders.length).toBeLessThanOrEqual(1)
            const [leader] = leaders
            if (leader === undefined) return false
            expect(leader.term).toBeGreaterThanOrEqual(lastTerm)
            lastTerm = leader.term
            expect(holderOf.get(leader.term) ?? leader.i).toBe(leader.i)
            holderOf.set(leader.term, leader.i)
            return true
          }
          for (let step = 0; step < 500; step++) {
            world.advance(20)
            await settle()
            const machine = machines[random.uint32() % machines.length]!
            if (random.next() < 0.02) machine.isPaused ? machine.resume() : machine.pause()
            if (random.next() < 0.01) store.isDown = !store.isDown
            // Before its timers run, a machine that wakes may already be asked.
            look()
          }
          store.isDown = false
          for (const machine of machines) machine.resume()
          let isLed = false
          for (let step = 0; step < 2_000 && !isLed; step++) {
            world.advance(20)
            await settle()
            isLed = look()
          }
          expect(isLed).toBe(true)
        },
      ),
      { numRuns: 40 },
    )
  }, 60_000)

  it('tells of its beginning and its end, which comes by itself when the store is gone', async () => {
    const world = new ManualClock()
    const machine = new Machine(world, 1)
    const store = new Store(world, seededRandom(1), 0, 20)
    const contender = new Contender(store.of(machine), { clock: machine, logger: silentLogger }, 'test', 'a', LEASE_MS)
    const told: (number | undefined)[] = []
    contender.watch((term) => told.push(term))
    void contender.start()
    const run = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 20) {
        world.advance(20)
        await settle()
      }
    }
    await run(2_000)
    expect(told).toEqual([1])
    store.isDown = true
    await run(2_000)
    expect(told).toEqual([1, undefined])
    store.isDown = false
    await run(3_000)
    expect(contender.term()).toBe(1)
    expect(told).toEqual([1, undefined, 1])
  })
})

describe('a leader lease on SQLite', () => {
  leaderContract(() => {
    const file = join(tempFolder(), 'metadata.db')
    return () => openSql({ file, platform: testPlatform() })
  })
})
