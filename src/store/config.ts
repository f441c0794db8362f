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
    redisUrl: z
      .string()
      .regex(/^rediss?:\/\//, 'must start with redis:// or rediss://')
      .optional()
      .describe('Redis that servers share cached answers through: redis://host:6379. REDIS_URL sets it as well.'),
  })
  .describe('Where state is kept.')

export type StoreConfig = z.infer<typeof storeSection>
