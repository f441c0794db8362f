// The "models" section of headrace.config.ts.
import { z } from 'zod'

export const modelsSection = z
  .strictObject({
    folder: z
      .string()
      .min(1)
      .default('./models')
      .describe(
        'Folder with <model>/<version>/model.onnx (or a script: model.ts), relative to the configuration file.',
      ),
    settleMs: z
      .number()
      .int()
      .nonnegative()
      .default(500)
      .describe('Milliseconds for which a version must not have changed before it counts as completely copied.'),
    pollMs: z
      .number()
      .int()
      .positive()
      .default(2000)
      .describe(
        'Milliseconds between looks at the folder where the file system reports no changes (NFS, some containers).',
      ),
  })
  .prefault({})
  .describe('Where model versions come from.')

export type ModelsSection = z.infer<typeof modelsSection>
