// A materialisation ends at every single step that writes something, as if the process had been killed there; the next start goes on. Nobody
// ever reads half a view, and what comes out is what an uninterrupted run gives.
import { describe, expect, it } from 'vitest'
import { type ArrayHistory, arrayOffline, openFlow } from '../../../test/support/feature-flow.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { createWindowEngine } from '../aggregate/engine.js'
import { column, count, defineEntity, defineFeatureView, fileSource, pushSource, sum } from '../index.js'
import { createMemoryOnlineStore } from '../online/memory-online-store.js'
import type { OnlineStore } from '../online/types.js'

const HOUR = 3_600_000
const KEYS = Array.from({ length: 12 }, (_, i) => `u${String(i).padStart(2, '0')}`)
const user = defineEntity('user', { keys: { user_id: 'string' } })
// No ids: an event that went in twice would count twice.
const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64' } })
const archive = fileSource('archive', { path: 'orders.parquet', eventTime: 'at', knownTime: 'known' })
const profile = defineFeatureView('profile', {
  entities: [user],
  source: fileSource('profiles', { path: 'p.parquet', eventTime: 'at', knownTime: 'known' }),
  features: { score: column('float64') },
})
const spend = defineFeatureView('spend', {
  entities: [user],
  source: archive,
  stream: orders,
  features: { n: count({ over: '2d' }), total: sum('amount', { over: '2d' }) },
})

const T0 = new ManualClock().nowMs()

function history(score: number): Record<string, ArrayHistory> {
  return {
    profile: {
      rows: KEYS.map((key) => ({ key, eventMs: T0 - HOUR + score, knownMs: T0 - HOUR + score, values: [score] })),
    },
    spend: {
      events: KEYS.flatMap((key, k) =>
        [30, 20, 10, 5].map((hoursAgo) => {
          const eventMs = T0 - hoursAgo * HOUR
          return { key, id: undefined, eventMs, knownMs: eventMs, values: [k] }
        }),
      ),
    },
  }
}

/** Lets `allowed` calls through and then behaves like a process that is gone. */
function dying(allowed: number) {
  let calls = 0
  let isDead = false
  const wrap = <T extends object>(target: T, counts: (name: string) => boolean): T =>
    new Proxy(target, {
      get(_, name: string) {
        const value = target[name as keyof T]
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (counts(name) && ++calls > allowed) isDead = true
          if (isDead) throw new Error('killed')
          return (value as (...args: unknown[]) => unknown).apply(target, args)
        }
      },
    })
  return {
    store: (store: OnlineStore) => wrap(store, (name) => /^(write|drop|flush)/.test(name)),
    sql: <T extends object>(sql: T) => wrap(sql, (name) => name === 'transaction' || name === 'db'),
    get isDead() {
      return isDead
    },
  }
}

describe.each(['profile', 'spend'])('a materialisation of %s that is killed', (name) => {
  it('goes on at the next start, whatever step it was in, and shows nothing in between', {
    timeout: 120_000,
  }, async () => {
    const folder = tempFolder()
    const clock = new ManualClock()
    let seed = 1
    const engines = new Map<object, ReturnType<typeof createWindowEngine>>()
    const engineOf = (view: Parameters<typeof createWindowEngine>[0]) => {
      const engine = engines.get(view) ?? createWindowEngine(view)
      engines.set(view, engine)
      return engine
    }
    // Outlives the processes, as Redis does.
    const store = await createMemoryOnlineStore({ platform: testPlatform({ clock }), engineOf })
    const start = (score: number, death: ReturnType<typeof dying> | undefined) =>
      openFlow({
        folder,
        definitions: [profile, spend],
        platform: testPlatform({ clock, seed: seed++ }),
        store,
        offline: arrayOffline(history(score), 5),
        fillAtStart: false,
        ...(death ? { wrapStore: death.store, wrapSql: death.sql } : {}),
      })
    const readAll = async (flow: Awaited<ReturnType<typeof start>>) =>
      Promise.all(KEYS.map((key) => flow.read(name, key, clock.nowMs() + 1)))

    const first = await start(1, undefined)
    await first.materialiser.materialise({ view: name })
    for (const key of KEYS) {
      const row = { user_id: key, amount: 100 }
      await first.ingestor.push('orders', [{ row, knownMs: clock.nowMs() }])
    }
    const before = await readAll(first)
    await first.close()
    // The same again from what there is now, without a kill, in a place of its own: what has to come out.
    const expected = name === 'profile' ? KEYS.map(() => [2]) : before
    if (name === 'spend') expect(before[3]).toEqual([5, 4 * 3 + 100])

    let kills = 0
    for (let steps = 0; ; steps++) {
      const death = dying(steps)
      let isDone = false
      try {
        const flow = await start(2, death)
        try {
          await flow.materialiser.materialise({ view: name, full: true })
          isDone = true
        } finally {
          await flow.close().catch(() => undefined)
        }
      } catch (error) {
        expect(String(error)).toContain('killed')
      }
      const after = await start(2, undefined)
      const seen = await readAll(after)
      expect([before, expected]).toContainEqual(seen)
      if (isDone && !death.isDead) {
        expect(seen).toEqual(expected)
        // One generation took the place of the first, and none was left half filled.
        const generations = after.tables.generations(after.view(name))
        expect(generations.map(({ row }) => row.state)).toEqual(generations.map(() => 'whole'))
        await after.close()
        break
      }
      kills++
      await after.close()
    }
    expect(kills).toBeGreaterThan(10)
  })
})
