// The cache of an app: its budgets, the tiers it shares answers through, and the decisions that switch it off and on.
import type { Platform } from '../core/index.js'
import type { Actor } from '../decisions/index.js'
import { AnswerCache, cacheSwitch, chainTiers, createKeyValueTier, type SharedTier } from '../serving/index.js'
import { createRedisKeyValue } from '../store/index.js'
import type { Engines } from './engines.js'
import type { ProjectConfig } from './project.js'

const HIT_RATE: Actor = { kind: 'rule', name: 'cache-hit-rate' }

export async function createAnswerCache(
  { serving }: Pick<ProjectConfig, 'serving'>,
  redisUrl: string | undefined,
  engines: Engines,
  platform: Platform,
): Promise<AnswerCache> {
  const { cache: options } = serving
  const { logger } = platform
  return new AnswerCache({
    platform,
    maxBytes: options.maxBytes,
    staleMaxBytes: options.staleMaxBytes,
    switchOff: {
      hitRate: options.switchOffHitRate,
      minRequests: options.switchOffMinRequests,
      windowMs: options.switchOffWindowMs,
    },
    tier: await sharedTier(redisUrl, options.sharedTimeoutMs, engines.tier, platform),
    onUseless({ endpoint, ...evidence }) {
      // Another process may have found the same a moment ago.
      if (engines.registry().cacheSwitches.get(endpoint) === false) return
      engines.decide(cacheSwitch(endpoint, false), evidence, HIT_RATE).catch((error: unknown) => {
        // It goes on caching in vain, finds so again after the next window, and harms nobody.
        logger.warn({ err: error, endpoint }, 'the cache of an endpoint is of no use, and switching it off failed')
      })
    },
  })
}

async function sharedTier(
  url: string | undefined,
  timeoutMs: number,
  near: SharedTier | undefined,
  platform: Platform,
): Promise<SharedTier | undefined> {
  if (url === undefined) return near
  const { clock, random, logger } = platform
  const store = await createRedisKeyValue({ url, clock, random, logger })
  const far = createKeyValueTier({ platform, store, name: 'redis', timeoutMs })
  return near ? chainTiers(near, far) : far
}

/** Does what the decisions say; an endpoint that none names is on. */
export function followSwitches(cache: AnswerCache, engines: Engines): void {
  const { cacheSwitches } = engines.registry()
  for (const [endpoint, isOn] of cacheSwitches) cache.switch(endpoint, isOn)
  for (const endpoint of cache.switchedOff()) if (!cacheSwitches.has(endpoint)) cache.switch(endpoint, true)
}
