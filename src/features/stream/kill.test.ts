// A process that takes events in is killed with SIGKILL, again and again: what it acknowledged is there, and nothing counts twice.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { openFlow } from '../../../test/support/feature-flow.js'
import { definitions, USERS } from '../../../test/support/feature-flow-child.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { createPlatform, seededRandom } from '../../core/index.js'

/** Of each round: killed in the middle of checkpoints, soon after one, and before there is any. */
const CHECKPOINTS_MS = [1, 60_000, 1, 25, 2_000, 1]
const child = path.resolve(fileURLToPath(import.meta.url), '../../../../test/support/feature-flow-child.ts')

describe('a killed process that takes events in', () => {
  it('loses nothing that was acknowledged and counts nothing twice', async () => {
    const folder = tempFolder()
    const random = seededRandom(7)
    let acknowledged = -1
    let next = 0
    for (const checkpointMs of CHECKPOINTS_MS) {
      const killAfter = 1 + (random.uint32() % 12)
      const running = spawn(process.execPath, ['--import', 'tsx', child, folder, String(next), String(checkpointMs)])
      let errors = ''
      running.stderr.on('data', (text) => {
        errors += text
      })
      let lines = 0
      createInterface(running.stdout).on('line', (line) => {
        acknowledged = Number(line)
        if (++lines === killAfter) setTimeout(() => running.kill('SIGKILL'), random.uint32() % 30)
      })
      const [, signal] = await once(running, 'close')
      expect({ signal, errors }).toEqual({ signal: 'SIGKILL', errors: '' })

      const platform = createPlatform()
      const flow = await openFlow({ folder, definitions, platform })
      await flow.openAll()
      await flow.ingestor.start()
      const kept: number[] = []
      for await (const events of flow.log.read('clicks', {})) {
        for (const event of events) kept.push(event.row['number'] as number)
      }
      expect(new Set(kept).size).toBe(kept.length)
      const there = new Set(kept)
      for (let number = 0; number <= acknowledged; number++) expect(there.has(number)).toBe(true)
      for (let user = 0; user < USERS; user++) {
        const own = kept.filter((number) => number % USERS === user)
        const values = await flow.read('activity', `u${user}`, platform.clock.nowMs() + 1)
        expect(values?.slice(0, 2)).toEqual([own.length, own.reduce((sum, number) => sum + number, 0)])
      }
      await flow.close()
      next = Math.max(...kept) + 1
      acknowledged = next - 1
    }
    expect(next).toBeGreaterThan(500)
  }, 120_000)
})
