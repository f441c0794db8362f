// What an endpoint asks of its guards: `endpoints.<name>.release.guards`.
import { z } from 'zod'

const tolerance = (fallback: number) =>
  z.number().min(1).max(100).default(fallback).describe('Relative rate that is still no worse; 1 means equal.')
const harm = z
  .number()
  .gt(1)
  .max(100)
  .default(2)
  .describe('Relative rate that must be excluded before the guard has passed.')

export const guardsSection = z
  .strictObject({
    alpha: z
      .number()
      .min(1e-6)
      .max(0.2)
      .default(0.01)
      .describe(
        'Largest probability that a release whose candidate is no worse is ever rolled back, all guards and looks together.',
      ),
    windowMs: z
      .int()
      .min(1000)
      .default(3_600_000)
      .describe(
        'Errors and latency are also judged afresh in each window, because units that failed once are used up.',
      ),
    errors: z
      .strictObject({
        reference: z
          .enum(['champion', 'control'])
          .optional()
          .describe(
            'Compare with all of the champion, or only with the equal control. Default: champion; control where the endpoint has a cache, as a cold cache calls more often.',
          ),
        tolerance: tolerance(1),
        harm,
      })
      .prefault({}),
    latency: z
      .strictObject({
        quantiles: z.array(z.number().gt(0).lt(1)).max(5).default([0.5, 0.95, 0.99]).describe('Empty: not compared.'),
        slack: z
          .number()
          .min(1)
          .default(1.1)
          .describe(
            "The candidate's calls are slow beyond the champion's quantile times this: a tenth slower is no worse.",
          ),
        floorMs: z
          .number()
          .min(0)
          .default(2)
          .describe("Nor are they slow within so many milliseconds of the champion's quantile, whatever the slack."),
        tolerance: tolerance(1),
        harm,
      })
      .prefault({}),
    outputs: z
      .strictObject({
        enabled: z.boolean().default(true).describe('Needs payloads in the log.'),
        output: z.string().optional().describe('Name of the output compared; default: the first.'),
        tolerance: tolerance(2),
        harm: harm.default(4),
      })
      .prefault({}),
    cost: z
      .strictObject({
        enabled: z.boolean().default(false).describe('Compare what predictions cost.'),
        slack: z
          .number()
          .min(1)
          .default(1.1)
          .describe("The candidate's predictions are dear beyond the champion's 95th percentile times this."),
        tolerance: tolerance(1),
        harm,
      })
      .prefault({}),
    outcomes: z
      .record(
        z.string().min(1).max(200),
        z.strictObject({
          values: z
            .array(z.union([z.string(), z.number(), z.boolean()]))
            .min(1)
            .optional()
            .describe('Values of the outcome that count. Default: true.'),
          above: z.number().optional().describe('Numeric outcomes above this count, in place of values.'),
          worse: z
            .enum(['more', 'less'])
            .describe('more: units with such an outcome are a harm (chargeback); less: their absence is (conversion).'),
          tolerance: tolerance(1),
          harm: harm.default(1.5),
        }),
      )
      .default({})
      .describe('Outcomes by name.'),
    shadow: z
      .strictObject({
        relative: z
          .number()
          .min(0)
          .default(1e-3)
          .describe('Numbers differ beyond absolute plus this times the larger.'),
        absolute: z.number().min(0).default(1e-6).describe('Difference of two numbers that is none.'),
        differing: z.number().gt(0).lt(1).default(0.01).describe('Share of units whose answers may differ.'),
        failing: z.number().gt(0).lt(1).default(0.005).describe('Share of units where only the candidate may fail.'),
        alpha: z
          .number()
          .min(1e-6)
          .max(0.2)
          .default(0.05)
          .describe('Error probability of the report, all looks together.'),
      })
      .prefault({})
      .describe('When a candidate in shadow is indistinguishable.'),
  })
  .prefault({})
  .describe('How a release is watched: what may move traffic back by itself.')

export type GuardSettings = z.output<typeof guardsSection>

/**
 * With the default that depends on the endpoint. Behind a cache the candidate's is cold and its units call more often, so that they also
 * fail more often: only the control, whose cache is as cold, compares.
 */
export function guardsOfEndpoint(settings: GuardSettings, hasCache: boolean): GuardSettings {
  const reference = settings.errors.reference ?? (hasCache ? 'control' : 'champion')
  return { ...settings, errors: { ...settings.errors, reference } }
}

/** One guard as it is judged. */
export interface GuardSpec {
  readonly name: string
  /** Part of the release's alpha. */
  readonly alpha: number
  /** Relative rate that the null hypothesis allows, and the one that passing excludes. */
  readonly tolerance: number
  readonly harm: number
  readonly worse: 'more' | 'less'
  readonly reference: 'champion' | 'control'
  /** Whether it is also judged afresh in each window. */
  readonly hasWindows: boolean
}
