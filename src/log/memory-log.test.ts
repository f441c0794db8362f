import { describePredictionLog } from '../../test/contract/prediction-log.js'
import { createPlatform, ManualClock } from '../core/index.js'
import { createMemoryLog } from './memory-log.js'

describePredictionLog('memory log', async (platform, policy) => {
  const clock = new ManualClock()
  const log = createMemoryLog({ platform: createPlatform({ ...platform, clock }), policy })
  return { log, passRetry: () => clock.advance(1000) }
})
