// The `serving` section of the configuration. What differs between models is in each model's model.json instead.
import { availableParallelism } from 'node:os'
import { z } from 'zod'

export const servingSection = z
  .strictObject({
    threads: z
      .int()
      .min(1)
      .max(256)
      .optional()
      // Not a default of the schema: the documentation prints those, and this one differs between machines.
      .transform((threads) => threads ?? Math.max(1, availableParallelism() - 1))
      .describe('Threads that run models; without it the number of cores less one, which is left for requests.'),
  })
  .prefault({})
  .describe('How models are run.')

/** The `serving` section with its defaults filled in. */
export type ServingConfig = z.output<typeof servingSection>
