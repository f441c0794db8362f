// The `serving` section of the configuration. What differs between models is in each model's model.json instead.
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { cacheSection } from './cache/config.js'
import { onnxSection } from './onnx/config.js'
import { poolSection } from './pool/config.js'

export const servingSection = z
  .strictObject({
    threads: z
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe(
        'Threads that run models, in each process; without it its share of the cores less one, which is left for requests.',
      ),
    cache: cacheSection,
    pool: poolSection,
    onnx: onnxSection,
  })
  .prefault({})
  .describe('How models are run.')

/** Not a default of the schema: the documentation prints those, and this one differs between machines. */
export function defaultThreads(processes: number): number {
  return Math.max(1, Math.floor(availableParallelism() / processes) - 1)
}

/** The `serving` section with its defaults filled in. */
export type ServingConfig = z.output<typeof servingSection>
