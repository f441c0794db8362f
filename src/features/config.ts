// The `features` section of the configuration.
import { z } from 'zod'
import type { KafkaStreamOptions } from '../store/index.js'
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
    kafka: z
      .strictObject({
        tls: z
          .boolean()
          .optional()
          .describe('Speak TLS with the brokers. KAFKA_SSL sets it as well. Default: true with a username, else false'),
        mechanism: z
          .string()
          .toLowerCase()
          .pipe(z.enum(['plain', 'scram-sha-256', 'scram-sha-512']))
          .default('plain')
          .describe('SASL mechanism: plain, scram-sha-256 or scram-sha-512. KAFKA_SASL_MECHANISM sets it as well.'),
        username: z.string().min(1).optional().describe('SASL user. KAFKA_USERNAME sets it as well. Default: no SASL'),
        password: z
          .string()
          .min(1)
          .optional()
          .describe('SASL password: give it by KAFKA_PASSWORD rather than in a file. It is never logged.'),
      })
      .refine(
        ({ username, password }) => (username === undefined) === (password === undefined),
        'needs a username and a password, or neither (KAFKA_USERNAME, KAFKA_PASSWORD)',
      )
      .prefault({})
      .describe('How the Kafka brokers are connected to.'),
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

/** Undefined without brokers. */
export function kafkaOf({
  kafkaBrokers: brokers,
  kafka,
}: FeaturesConfig): Omit<KafkaStreamOptions, 'platform'> | undefined {
  if (brokers.length === 0) return undefined
  const { mechanism, username, password } = kafka
  if (username === undefined || password === undefined) return { brokers, tls: kafka.tls ?? false }
  // A password is not sent in the clear unless somebody says so.
  return { brokers, tls: kafka.tls ?? true, sasl: { mechanism, username, password } }
}

/** Throws FEATURE_NO_REDIS when it is asked for and there is none. */
export function isRedisUsed({ online }: FeaturesConfig, redisUrl: string | undefined): boolean {
  if (online === 'redis' && redisUrl === undefined) throw FeatureErrors.NO_REDIS()
  return online === 'redis' || (online === undefined && redisUrl !== undefined)
}
