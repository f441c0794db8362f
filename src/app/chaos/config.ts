// The `chaos` section of the configuration.
import { z } from 'zod'

export const chaosSection = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .describe('Take injected faults, on loopback only; the same as headrace serve --chaos'),
    maxDurationMs: z.int().positive().default(600_000).describe('Longest time that a fault may last'),
  })
  .prefault({})
  .describe('Fault injection for tests and drills.')
