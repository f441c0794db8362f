import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  ANNA,
  openReleaseWorld,
  predictions,
  type ReleaseNodeInTest,
  type ReleaseWorld,
  shadowPairs,
} from '../../test/support/release-nodes.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import type { Sql } from '../store/index.js'
import type { ReleaseTables } from './tables.js'

const units = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `unit-${from + i}`)

let folder: string
let world: ReleaseWorld
let node: ReleaseNodeInTest
beforeEach(async () => {
  folder = tempFolder()
  world = await openReleaseWorld(folder)
  node = await world.node('a')
})
afterEach(() => world.close())

const stateOf = async () => {
  const { state, step, reason } = (await node.service.status('shop')).release
  return { state, step, reason }
}

describe('the controller', () => {
  it('goes on when both the time of a step has passed and its units were seen, and completes at the end', async () => {
    await world.start('20%/10s&5u,60%/10s,100%', { minUnits: 0 })
    await node.pass(15_000)
    expect((await node.service.status('shop')).progress.summary).toContain('waits for 5 more units')
    await node.log(predictions(units(4), 'candidate', 0.2))
    await node.pass(1_000)
    expect(await stateOf()).toMatchObject({ state: 'running', step: 0 })
    // A unit that comes again is no other unit.
    await node.log(predictions(units(4), 'candidate', 0.2))
    await node.pass(1_000)
    expect(await stateOf()).toMatchObject({ step: 0 })
    await node.log(predictions(units(1, 4), 'candidate', 0.2))
    await node.pass(1_000)
    expect(await stateOf()).toMatchObject({ step: 1 })
    await node.pass(9_000)
    expect(await stateOf()).toMatchObject({ step: 1 })
    await node.pass(3_000)
    expect(await stateOf()).toMatchObject({ state: 'completed' })
    expect(world.decided).toEqual(['release.step', 'release.step', 'release.complete'])
  })

  it('takes too few units for no verdict: the step waits, says so, and a person may go on', async () => {
    await world.start('20%/5s,100%')
    await node.log(predictions(units(99), 'candidate', 0.2))
    await node.pass(60_000)
    expect(await stateOf()).toMatchObject({ state: 'running', step: 0 })
    expect((await node.service.status('shop')).progress.summary).toContain('inconclusive, waits for 1 more units')
    await node.service.promote('shop', {}, ANNA)
    await node.pass(2_000)
    expect(world.decided).toEqual(['release.promote', 'release.complete'])
  })

  it('counts no time while the release is paused, the candidate is not loaded, or the machine slept', async () => {
    await world.start('20%/15s,100%', { minUnits: 0 })
    await node.service.pause('shop', {}, ANNA)
    await node.pass(20_000)
    await node.service.resume('shop', {}, ANNA)
    node.isWarm = false
    await node.pass(20_000)
    node.isWarm = true
    await node.pass(1_000)
    node.clock.advance(3_600_000)
    await node.look()
    await node.pass(2_000)
    expect(await stateOf()).toMatchObject({ state: 'running', step: 0 })
    await node.pass(15_000)
    expect(await stateOf()).toMatchObject({ state: 'completed' })
  })

  it('lets the time of a plan pass faster than clocks when it was asked to', async () => {
    await world.start('20%/1h,100%', { minUnits: 0, timeScale: 3_600 })
    await node.pass(4_000)
    expect(await stateOf()).toMatchObject({ state: 'completed' })
  })

  it('ends the release when the candidate cannot be loaded, or what it stands on was moved, with the reason', async () => {
    const { id } = await world.start('20%/1h,100%')
    node.failure = 'its file is broken'
    await node.pass(1_000)
    expect((await node.service.get(id)).state).toBe('rolled-back')
    expect((await node.service.get(id)).reason).toContain('could not be loaded on node a: its file is broken')
    node.failure = null
    await world.start('20%/1h,100%')
    node.obstacle = 'alias "champion" of fraud was moved to version 3 meanwhile'
    await node.pass(1_000)
    expect(await stateOf()).toMatchObject({ state: 'aborted', reason: node.obstacle })
  })

  it('skips the rest of a shadow step that shows no difference, with its report, and not before', async () => {
    const guards = { shadow: { differing: 0.3, failing: 0.3 } }
    await world.start('shadow:1d/skip,20%/1h,100%', { minUnits: 10, guards })
    await node.log(shadowPairs(units(12)))
    await node.pass(6_000)
    expect((await node.service.status('shop')).shadow).toMatchObject({ pairs: 12, verdict: 'inconclusive' })
    expect(await stateOf()).toMatchObject({ step: 0 })
    await node.log(shadowPairs(units(200, 12)))
    await node.pass(6_000)
    expect(await stateOf()).toMatchObject({ step: 1 })
    const { events, shadow } = await node.service.status('shop')
    expect(shadow).toMatchObject({ pairs: 212, verdict: 'indistinguishable' })
    expect(events.at(-1)!.evidence).toMatchObject({ skipped: true, shadow: { pairs: 212 } })
  })

  it('goes on where a killed one was, when a decision was made and it never heard of it', async () => {
    await world.start('20%/10s,60%/1h,100%', { minUnits: 0 })
    let isMade = false
    const { decide } = node
    node.decide = async (change, evidence, by) => {
      await decide(change, evidence, by)
      isMade = true
      throw new Error('killed')
    }
    while (!isMade) await node.pass(500)
    await node.kill()
    node = await world.node('a')
    await node.pass(8_000)
    expect(await stateOf()).toMatchObject({ state: 'running', step: 1 })
    expect((await node.service.status('shop')).release).toMatchObject({ revision: 2 })
    expect(world.decided).toEqual(['release.step'])
  })

  it('is followed by another when it stands still, which counts on, and what the first decides then is refused', async () => {
    // The other's wall clock is a year ahead.
    const other = await world.node('b', { epochMs: Date.UTC(2027, 0, 1) })
    await world.start('20%/20s,60%/1h,100%', { minUnits: 0 })
    let refused: unknown
    const { decide } = node
    node.decide = async (change, evidence, by) => {
      // It stands still between its look and what it decides, and the other leads meanwhile.
      if (change.kind === 'release.step') await other.pass(4_000)
      return decide(change, evidence, by).catch((error: unknown) => {
        refused = error
        throw error
      })
    }
    while (refused === undefined) await Promise.all([node.pass(500), other.look()])
    expect(refused).toMatchObject({ code: 'DECISION_NOT_LEADER' })
    await other.pass(25_000)
    await node.pass(1_000)
    expect(world.decided).toEqual(['release.step'])
    expect((await other.service.status('shop')).release).toMatchObject({ step: 1, revision: 2 })
  })

  it('takes no time back when it stood still in a turn, and another has led and counted meanwhile', async () => {
    let stall: (() => Promise<void>) | undefined
    const { sql } = world
    await node.kill()
    node = await world.node('a', {
      sql: {
        ...sql,
        async transaction(work) {
          const due = stall
          stall = undefined
          await due?.()
          return sql.transaction(work)
        },
      },
    })
    const other = await world.node('b')
    await world.start('20%/1h,100%', { minUnits: 0 })
    const stored = async () => (await other.service.status('shop')).progress.elapsedMs
    for (let i = 0; i < 14; i++) await Promise.all([node.pass(500), other.look()])
    const before = await stored()
    let counted = 0
    stall = async () => {
      await other.pass(16_000)
      counted = await stored()
    }
    while (counted === 0) await node.pass(500)
    expect(counted).toBeGreaterThan(before + 5_000)
    expect(await stored()).toBe(counted)
  })

  it('goes on from what is stored when it begins to lead, though its node read the release before another counted on', async () => {
    const { id } = await node.service.start(
      { endpoint: 'shop', model: 'fraud', from: 1, to: 2, selector: '1', plan: '20%/1h,100%' },
      ANNA,
    )
    await node.keeper.look()
    await world.sql
      .db<ReleaseTables>()
      .updateTable('releases')
      .set({ step_elapsed_ms: 50_000 })
      .where('id', '=', id)
      .execute()
    await node.controller.turn()
    await node.pass(10_000)
    expect((await node.service.status(id)).progress.elapsedMs).toBeGreaterThan(50_000)
  })
})

describe('a node', () => {
  /** A store that can be taken away. */
  function breakable(sql: Sql): { sql: Sql; down: (isDown: boolean) => void } {
    let isDown = false
    const fails = new Proxy({} as object, {
      get: () => () => {
        throw new Error('the store is down')
      },
    })
    return {
      sql: new Proxy(sql, {
        get(target, name) {
          if (isDown && name === 'db') return () => fails
          if (isDown && name === 'transaction') return () => Promise.reject(new Error('the store is down'))
          const value = Reflect.get(target, name) as unknown
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      }),
      down: (now) => {
        isDown = now
      },
    }
  }

  it('stops a bad candidate while the store is down, knows it after it was killed, and decides when the store is back', async () => {
    const { id } = await world.start('50%/1h,100%')
    const store = breakable(world.sql)
    const decide = () => Promise.reject(new Error('the store is down'))
    let second = await world.node('b', { sql: store.sql, decide })
    await second.pass(1_000)
    expect(second.keeper.grants()).toHaveLength(1)
    store.down(true)
    await second.log(predictions(units(40), 'candidate', 0.5, 'MODEL_FAILED'))
    expect(second.keeper.grants()).toEqual([])
    await expect.poll(() => existsSync(join(folder, 'b-stopped.json')), { timeout: 30_000 }).toBe(true)
    await second.kill()
    store.down(false)

    second = await world.node('b', { sql: store.sql, decide })
    expect(second.keeper.grants()).toEqual([])
    await second.pass(2_000)
    expect((await node.service.get(id)).state).toBe('running')
    expect(second.keeper.grants()).toEqual([])
    second.decide = node.decide
    await second.pass(1_000)
    expect(await node.service.get(id)).toMatchObject({ state: 'rolled-back' })
    expect((await node.service.get(id)).reason).toContain('guard "errors" failed')
  })

  it('does not say that a change was refused when it was made and the store went away before the answer', async () => {
    const store = breakable(world.sql)
    const { decide } = node
    const second = await world.node('b', {
      sql: store.sql,
      async decide(change, evidence, by) {
        const decision = await decide(change, evidence, by)
        store.down(true)
        return decision
      },
    })
    await world.start('50%/1h,100%')
    await expect(second.service.promote('shop', {}, ANNA)).rejects.toMatchObject({
      code: 'STORE_OUTCOME_UNKNOWN',
      retry: false,
    })
    store.down(false)
    expect(world.decided).toEqual(['release.promote'])
  })

  it('grants nothing for releases that it saw are over, however long their watchers take to stop', async () => {
    const endpoints = ['shop', 'bank']
    const { sql } = world
    let held: Promise<void> | undefined
    let letGo = () => {}
    await node.kill()
    const transaction: Sql['transaction'] = async (work) => {
      await held
      return sql.transaction(work)
    }
    const second = await world.node('b', { sql: { ...sql, transaction } })
    for (const endpoint of endpoints)
      await second.service.start({ endpoint, model: 'fraud', from: 1, to: 2, selector: '1', plan: '50%/1h,100%' }, ANNA)
    await second.pass(2_000)
    expect(second.keeper.grants()).toHaveLength(2)
    for (const endpoint of endpoints) await second.service.abort(endpoint, {}, ANNA)
    held = new Promise((resolve) => {
      letGo = resolve
    })
    onTestFinished(() => letGo())
    await second.log(predictions(units(1), 'candidate', 0.5))
    void second.keeper.look()
    await expect.poll(() => second.keeper.grants().length, { timeout: 30_000 }).toBeLessThan(2)
    expect(second.keeper.grants()).toEqual([])
    letGo()
  })

  it('takes back a completion that was made while it found the candidate bad', async () => {
    const { id } = await world.start('50%/1h,100%')
    const { decide } = node
    node.decide = async (change, evidence, by) => {
      node.decide = decide
      if (change.kind === 'release.rollback') await node.service.promote(id, { all: true }, ANNA)
      return decide(change, evidence, by)
    }
    await node.log(predictions(units(40), 'candidate', 0.5, 'MODEL_FAILED'))
    await node.pass(2_000)
    expect(world.decided).toEqual(['release.complete', 'undo release.complete'])
    expect(await node.service.get(id)).toMatchObject({ state: 'rolled-back' })
  })

  it('loses no pair of a shadow step that was stored when it is killed', async () => {
    await world.start('shadow:1d,100%')
    await node.log(shadowPairs(units(30)))
    await node.kill()
    node = await world.node('a')
    await node.pass(8_000)
    expect((await node.service.status('shop')).shadow).toMatchObject({ pairs: 30 })
  })
})
