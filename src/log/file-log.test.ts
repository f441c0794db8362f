import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { describePredictionLog } from '../../test/contract/prediction-log.js'
import { createPlatform, ManualClock } from '../core/index.js'
import { openLog } from './file-log.js'
import type { FileLog } from './types.js'

const opened: FileLog[] = []

afterEach(async () => {
  for (const log of opened.splice(0)) {
    await log.close()
    await rm(log.folder, { recursive: true })
  }
})

describePredictionLog('file log', async (platform, policy) => {
  const clock = new ManualClock()
  const folder = await mkdtemp(join(tmpdir(), 'headrace-log-'))
  const log = await openLog({ folder, platform: createPlatform({ ...platform, clock }), policy })
  opened.push(log)
  return { log, passRetry: () => clock.advance(1000) }
})
