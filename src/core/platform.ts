// What nearly every domain is given: time, randomness, ids, logs and metrics in one object, so that tests replace them at once.
import { type Clock, systemClock } from './clock.js'
import { createIds, type Ids } from './ids.js'
import { type Logger, silentLogger } from './logger.js'
import { createMetrics, type Metrics } from './metrics.js'
import { type Random, seededRandom, systemRandom } from './random.js'

export interface Platform {
  readonly clock: Clock
  readonly random: Random
  readonly ids: Ids
  readonly logger: Logger
  readonly metrics: Metrics
}

/** The real platform; anything given replaces its default. The default logger is silent. */
export function createPlatform(parts: Partial<Platform> & { withProcessMetrics?: boolean } = {}): Platform {
  const clock = parts.clock ?? systemClock
  const random = parts.random ?? systemRandom()
  return {
    clock,
    random,
    ids: parts.ids ?? createIds(clock, random),
    logger: parts.logger ?? silentLogger,
    metrics: parts.metrics ?? createMetrics({ withProcessMetrics: parts.withProcessMetrics ?? false }),
  }
}

/** A platform that repeats exactly: seeded randomness, silent logs, its own metrics; pass a ManualClock for virtual time. */
export function testPlatform(parts: Partial<Platform> & { seed?: number } = {}): Platform {
  return createPlatform({ random: seededRandom(parts.seed ?? 1), ...parts })
}
