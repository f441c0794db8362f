// The `features` section of the configuration.
import { z } from 'zod'
import { FeatureErrors } from './errors.js'

const duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, 'must be a number and a unit, such as "10m", "1h" or "30d"')

export const featuresSection = z
  .strictObject({
    definitions: z
      .array(z.unknown())
      .default([])
      .describe(
        'What defineEntity, defineFeatureView, defineOnDemandView and defineFeatureService made, beside what the modules of the folder export',
      ),
    folder: z
      .string()
      .min(1)
      .default('features')
      .describe('Folder of modules that export definitions, relative to the project; it need not be there'),
    online: z
      .enum(['memory', 'redis'])
      .optional()
      .describe('Where requests read features. Default: redis when store.redisUrl is set, else memory'),
    memoryLimitMb: z
      .int()
      .min(256)
      .default(2048)
      .describe('Memory that training sets, backfills and checks may take; what does not fit goes to disk'),
    threads: z
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe('Threads that training sets, backfills and checks compute with. Default: the cores of the machine'),
    kafkaBrokers: z
      .array(z.string().min(1))
      .default([])
      .describe('Kafka brokers that stream sources are read from: host:9092. KAFKA_BROKERS sets it as well.'),
    isScheduled: z
      .boolean()
      .default(true)
      .describe('Materialise views as often as their `every` says; false leaves it to "headrace features materialise"'),
    eventsKept: duration
      .optional()
      .describe('How long pushed and streamed events are kept for training sets and backfills. Default: for ever'),
    verify: z
      .strictObject({
        every: duration
          .optional()
          .describe('How often what was served is compared with the definitions. Default: never'),
        since: duration.default('24h').describe('How far back each comparison goes'),
        limit: z.int().positive().default(10_000).describe('Served vectors that a comparison looks at, at most'),
        minMatchRate: z
          .number()
          .min(0)
          .max(1)
          .default(0.99)
          .describe('Share of values that has to be the same; a feature below it raises an alert'),
      })
      .prefault({})
      .describe('Scheduled checks of what was served.'),
  })
  .describe('The feature store.')

export type FeaturesConfig = z.output<typeof featuresSection>

/** Throws FEATURE_NO_REDIS when it is asked for and there is none. */
export function isRedisUsed({ online }: FeaturesConfig, redisUrl: string | undefined): boolean {
  if (online === 'redis' && redisUrl === undefined) throw FeatureErrors.NO_REDIS()
  return online === 'redis' || (online === undefined && redisUrl !== undefined)
}
