// The parts of the configuration that are about releases: `plans`, and `release` of an endpoint.
import { z } from 'zod'
import { isName } from '../core/index.js'
import { guardsSection } from './guards/settings.js'
import { parsePlan } from './plan.js'

const planText = z.string().superRefine((text, context) => {
  try {
    parsePlan(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
  }
})

export const plansSection = z
  .record(z.string().refine(isName, 'plan names are letters, digits, ".", "_" or "-", at most 128'), planText)
  .default({})
  .describe(
    'Plans of releases by name, beside instant, blue-green, standard and critical: "shadow:1h,canary:5%/30m,100%"',
  )

export const releaseSection = z
  .strictObject({
    plan: z
      .string()
      .min(1)
      .optional()
      .describe('Plan of a release that names none: a name, or the steps themselves. Default: standard'),
    minUnits: z
      .int()
      .min(0)
      .optional()
      .describe(
        'Units of the candidate that each step waits for at least, whatever its time; default 100, and none in plans of one step',
      ),
    guards: guardsSection,
  })
  .prefault({})
  .describe('How versions are released to this endpoint.')

export type ReleaseSettings = z.output<typeof releaseSection>
