// The "models" section of headrace.config.ts.
import { z } from 'zod'

/** It may be missing; one that somebody named has to be there. */
export const DEFAULT_MODELS_FOLDER = './models'

export const modelsSection = z
  .strictObject({
    folder: z
      .string()
      .min(1)
      .default(DEFAULT_MODELS_FOLDER)
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

const days = (what: string) => z.number().nonnegative().max(36_500).describe(what)

export const registrySection = z
  .strictObject({
    retention: z
      .strictObject({
        keepVersions: z
          .number()
          .int()
          .positive()
          .optional()
          .describe(
            'Newest versions of each model that a collection leaves alone; absent: it deletes none for their number.',
          ),
        keepDays: days(
          'Versions younger than that are left alone by a collection; absent: none is deleted for its age.',
        ).optional(),
        deletedDays: days('How long a deleted version can be restored before a collection removes it.').default(7),
      })
      .prefault({})
      .describe('What "headrace models gc" may delete. What an endpoint, an alias or a release uses always stays.'),
    trustedSigners: z
      .array(z.string().regex(/^ed25519:[A-Za-z0-9_-]{43}$/, 'must be a public key as "headrace models key" prints it'))
      .default([])
      .describe('Public keys of other registries whose exported versions are imported without --trust.'),
  })
  .prefault({})
  .describe('Registered models.')

export type RegistrySection = z.infer<typeof registrySection>
