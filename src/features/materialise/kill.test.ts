// A process that materialises is killed with SIGKILL, again and again, while this one reads the same Redis: never a part of a view, and in the
// end what an uninterrupted run gives.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KEYS, openInRedis } from '../../../test/support/materialise-child.js'
import { redisMissing, startRedis, type TestRedis } from '../../../test/support/redis.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { seededRandom } from '../../core/index.js'
import type { Value } from '../value.js'

const KILLS = 5
const child = path.resolve(fileURLToPath(import.meta.url), '../../../../test/support/materialise-child.ts')
const missing = redisMissing()
let redis: TestRedis

describe('a killed process that materialises', () => {
  if (missing !== undefined) {
    it.skip(missing, () => undefined)
    return
  }
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.kill())

  it.each([
    ['profile', () => [1], () => [2]],
    // Four of the batch source and one that was pushed.
    ['spend', (k: number) => [5, 4 * k + 100], (k: number) => [5, 4 * k + 100]],
  ])('leaves %s whole: the one before, or the new one', { timeout: 120_000 }, async (name, before, after) => {
    const folder = tempFolder()
    const random = seededRandom(11)
    const t0Ms = Date.now()
    const open = (score: number) => openInRedis(folder, redis.url, t0Ms, score)
    const first = await open(1)
    const knownMs = first.platform.clock.nowMs()
    await first.ingestor.push(
      'orders',
      KEYS.map((user_id) => ({ row: { user_id, amount: 100 }, knownMs })),
    )
    await first.materialiser.materialise({ view: name })
    await first.close()

    const wholes = [before, after].map((values) => KEYS.map((_, k): readonly Value[] => values(k)))
    let kills = 0
    for (let isDone = false; !isDone; ) {
      const reader = await open(2)
      const table = reader.tables.live(reader.view(name))!
      const readAll = async () => {
        const [entries] = await reader.store.read([{ table, keys: KEYS }], knownMs + 1)
        return entries!.map((entry) => entry?.values)
      }
      expect(wholes).toContainEqual(await readAll())

      const running = spawn(process.execPath, ['--import', 'tsx', child, folder, redis.url, String(t0Ms), name])
      let errors = ''
      running.stderr.on('data', (text) => {
        errors += text
      })
      const ended = once(running, 'close')
      if (kills < KILLS)
        running.stdout.once('data', () => setTimeout(() => running.kill('SIGKILL'), random.uint32() % 150))
      let isOver = false
      void ended.then(() => {
        isOver = true
      })
      while (!isOver) expect(wholes).toContainEqual(await readAll())
      const [code, signal] = (await ended) as [number | null, string | null]
      expect(errors).toBe('')
      if (signal === 'SIGKILL') kills++
      isDone = code === 0
      await reader.close()
    }
    expect(kills).toBeGreaterThan(0)
    const end = await open(2)
    const table = end.tables.live(end.view(name))!
    const [entries] = await end.store.read([{ table, keys: KEYS }], knownMs + 1)
    expect(entries!.map((entry) => entry?.values)).toEqual(wholes[1])
    // Nothing is left half filled, whatever the kills met; a run that was killed after its switch was begun again.
    const generations = end.tables.generations(end.view(name))
    expect(generations.at(-1)!.table.name).toBe(table.name)
    expect(generations.map(({ row }) => row.state)).toEqual(generations.map(() => 'whole'))
    await end.close()
  })
})
