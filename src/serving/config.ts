// The `serving` section of the configuration. What differs between models is in each model's model.json instead.
import { availableParallelism } from 'node:os'
import { z } from 'zod'

export const servingSection = z
  .strictObject({
    threads: z
      .int()
      .min(1)
      .max(256)
      .default(() => Math.max(1, availableParallelism() - 1))
      .describe('Threads that run models; one core is left for requests unless told otherwise.'),
  })
  .prefault({})
  .describe('How models are run.')

/** The `serving` section with its defaults filled in. */
export type ServingConfig = z.output<typeof servingSection>
