// The `serving.pool` section of the configuration: which versions share the memory, and how.
import { totalmem } from 'node:os'
import { z } from 'zod'

const megabytes = (description: string) => z.number().positive().describe(description)

const reservation = z.strictObject({
  models: z.array(z.string().min(1)).min(1).describe('Names of models; * stands for any text'),
  mb: megabytes('Megabytes that only those models may use'),
})

export const poolSection = z
  .strictObject({
    budgetMb: megabytes(
      'Megabytes that all loaded versions may use together, in all processes; without it 70 % of the memory that the machine or container has',
    ).optional(),
    load: z
      .enum(['preload', 'lazy'])
      .default('preload')
      .describe('Whether versions are loaded at the start or when they are first asked for; model.json may differ'),
    idleMs: z
      .int()
      .min(0)
      .default(3_600_000)
      .describe('Time after which a version that nobody calls is unloaded, if it was loaded on demand; 0 never'),
    pinned: z
      .array(z.string().min(1))
      .default([])
      .describe('Models that are never unloaded to make room; * stands for any text'),
    reservations: z
      .record(z.string(), reservation)
      .default({})
      .describe('Parts of the budget, by any name, for some models alone: { "models": ["fraud-*"], "mb": 512 }'),
    copiesMb: z
      .number()
      .min(0)
      .default(4096)
      .describe(
        'Disk space for copies of what was loaded, used when files in the models folder are damaged; 0 keeps none',
      ),
  })
  .prefault({})
  .describe('Many models in one memory.')

const SHARE = 0.7

/** Not a default of the schema: the documentation prints those, and this one differs between machines. */
export function poolBudgetBytes(budgetMb: number | undefined, processes: number): number {
  const limitBytes = process.constrainedMemory()
  // Without a limit some systems say 0, others a number beyond all memory.
  const memoryBytes = limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem()
  const bytes = budgetMb === undefined ? SHARE * memoryBytes : budgetMb * 2 ** 20
  return Math.floor(bytes / processes)
}
