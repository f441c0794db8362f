import { describe } from 'vitest'
import { onlineStoreContract } from '../../../test/contract/online-store.js'
import { eventEngine } from '../../../test/support/online.js'
import { testPlatform } from '../../core/index.js'
import { createMemoryOnlineStore } from './memory-online-store.js'

describe('the online store in memory', () => {
  onlineStoreContract(async () => {
    const platform = testPlatform()
    return { store: await createMemoryOnlineStore({ platform, engineOf: eventEngine }), nowMs: platform.clock.nowMs() }
  })
})
