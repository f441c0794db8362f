// The `store` section of the configuration.
import { z } from 'zod'

export const storeSection = z
  .strictObject({
    dataDir: z
      .string()
      .min(1)
      .default('.headrace')
      .describe(
        'Folder for everything this server keeps: the metadata database, the log, artifacts. Relative to the project folder. One process at a time may use it.',
      ),
    databaseUrl: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'must start with postgres:// or postgresql://')
      .optional()
      .describe(
        'PostgreSQL for the metadata, shared by any number of servers: postgres://user:password@host:5432/database. DATABASE_URL sets it as well. Default: a SQLite file in the data folder.',
      ),
    blobs: z
      .string()
      .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^?#]*)?(\?[^#]*)?$/, 'must be s3://bucket/prefix')
      .optional()
      .describe(
        'S3-compatible store for artifacts, shared by any number of servers: s3://bucket/prefix?region=eu-central-1&endpoint=https://minio:9000. HEADRACE_BLOBS sets it as well. Default: the data folder.',
      ),
    redisUrl: z
      .string()
      .regex(/^rediss?:\/\//, 'must start with redis:// or rediss://')
      .optional()
      .describe('Redis that servers share cached answers through: redis://host:6379. REDIS_URL sets it as well.'),
  })
  .describe('Where state is kept.')

export type StoreConfig = z.infer<typeof storeSection>
