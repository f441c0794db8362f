import { setImmediate } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import type { KeyState } from '../aggregate/types.js'
import { Checkpoints } from './checkpoints.js'
import { MemoryTable } from './memory-table.js'
import { TableFiles } from './table-files.js'

const EVERY_MS = 2_000

/** One state, large in memory and small when it is written, which takes `workMs` each time. */
function setUp(workMs: number) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const table = new MemoryTable('windows')
  const files = TableFiles.create(tempFolder(), table, platform)
  const checkpoints = new Checkpoints(table, files, platform, EVERY_MS)
  onTestFinished(() => checkpoints.close())
  let written = 0
  const serialize = () => {
    written++
    clock.advance(workMs)
    return new Uint8Array(10)
  }
  const state = { newestEventMs: 1, sizeBytes: 100 << 20, serialize } as Partial<KeyState> as KeyState
  table.putState('key', state, 1)
  return {
    clock,
    checkpoints,
    written: () => written,
    async change() {
      checkpoints.changed('key')
      await checkpoints.soon()
    },
    /** Whether one has begun, and what it writes, shows after two turns. */
    async settled() {
      await setImmediate()
      await table.checkpointing
    },
  }
}

it('a checkpoint is not sooner for states that are large in memory and small when written', async () => {
  const { clock, checkpoints, change, settled, written } = setUp(0)
  await change()
  await checkpoints.take()
  expect(written()).toBe(1)
  await change()
  await settled()
  clock.advance(EVERY_MS - 1)
  await settled()
  expect(written()).toBe(1)
  clock.advance(1)
  await settled()
  expect(written()).toBe(2)
})

it('a checkpoint rests eight times as long as the work of the last one', async () => {
  const { clock, checkpoints, change, settled, written } = setUp(1_000)
  await change()
  await checkpoints.take()
  await change()
  clock.advance(7_999)
  await settled()
  expect(written()).toBe(1)
  clock.advance(1)
  await settled()
  expect(written()).toBe(2)
})
