import { appendFile, readdir, utimes } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { createEventLog } from './event-log.js'
import type { LoggedEvent, StreamEvent } from './types.js'

const event = (n: number, row: StreamEvent['row'] = { n }): StreamEvent => ({
  eventMs: n,
  knownMs: n,
  id: `e${n}`,
  row,
})

function open(folder: string, options: Partial<Parameters<typeof createEventLog>[0]> = {}) {
  const platform = testPlatform({ clock: new ManualClock() })
  return createEventLog({ platform, folder, retentionMs: () => undefined, ...options })
}

async function all(log: ReturnType<typeof open>, from = {}): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = []
  for await (const batch of log.read('s', from)) events.push(...batch)
  return events
}

describe('the event log', () => {
  it('reads back what was appended, from any position and after it was opened again', async () => {
    const folder = tempFolder()
    const log = open(folder, { segmentBytes: 300 })
    for (let n = 0; n < 10; n++) await log.append('s', [event(2 * n), event(2 * n + 1)])
    const partition = await log.partition('s')
    await log.close()
    const again = open(folder, { segmentBytes: 300 })
    expect((await all(again)).map(({ offset, eventMs }) => [offset, eventMs])).toEqual(
      Array.from({ length: 20 }, (_, n) => [n, n]),
    )
    expect((await all(again, { [partition]: 17 })).map(({ offset }) => offset)).toEqual([17, 18, 19])
    expect(await again.head('s')).toEqual({ [partition]: 20 })
    expect((await again.files('s')).length).toBeGreaterThan(3)
    expect(await again.newestEventMs('s')).toBe(19)
    await again.close()
  })

  it('cuts off an event that was being written when the process ended', async () => {
    const folder = tempFolder()
    const log = open(folder)
    await log.append('s', [event(1), event(2)])
    await log.close()
    await appendFile((await log.files('s'))[0]!, '{"partition":"x","offset":2,"event_')
    const again = open(folder)
    await again.append('s', [event(3)])
    expect((await all(again)).map(({ offset, id }) => [offset, id])).toEqual([
      [0, 'e1'],
      [1, 'e2'],
      [2, 'e3'],
    ])
    await again.close()
  })

  it('leaves out records that it has already, by partition and offset', async () => {
    const log = open(tempFolder())
    const placed = (offset: number) => ({ ...event(offset), partition: '3', offset })
    await log.appendAt('s', [placed(5), placed(6)])
    await log.appendAt('s', [placed(6), placed(9)])
    expect((await all(log)).map(({ offset }) => offset)).toEqual([5, 6, 9])
    await log.close()
  })

  it('keeps whole numbers beyond 2^53, infinities, lists and vectors', async () => {
    const log = open(tempFolder())
    const row = {
      big: 2n ** 60n,
      far: Number.POSITIVE_INFINITY,
      names: ['a', 'ü"\n'],
      vector: new Float32Array([0.5, 2]),
      none: null,
    }
    await log.append('s', [event(1, row)])
    expect((await all(log))[0]!.row).toEqual({
      big: '1152921504606846976',
      far: 'Infinity',
      names: ['a', 'ü"\n'],
      vector: [0.5, 2],
      none: null,
    })
    await log.close()
  })

  it('removes segments past their time, but never the newest, and goes on counting', async () => {
    const folder = tempFolder()
    const clock = new ManualClock()
    const log = open(folder, { platform: testPlatform({ clock }), segmentBytes: 1, retentionMs: () => 1000 })
    await log.append('s', [event(1)])
    await log.append('s', [event(2)])
    for (const name of await readdir(path.join(folder, 's'))) {
      if (name.endsWith('.ndjson')) await utimes(path.join(folder, 's', name), 0, (clock.nowMs() - 2000) / 1000)
    }
    await log.append('s', [event(3)])
    expect((await all(log)).map(({ offset }) => offset)).toEqual([2])
    expect(await log.sinceMs('s')).toBe(3)
    await log.close()
  })
})
