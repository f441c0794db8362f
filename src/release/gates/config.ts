// The `datasets` section, and `gates` of an endpoint.
import { z } from 'zod'
import { isName } from '../../core/index.js'
import { METRIC_NAMES } from '../../stats/index.js'

const column = z.string().min(1)

export const datasetSchema = z
  .strictObject({
    file: z.string().min(1).describe('CSV, JSON or Parquet; a relative path starts at the project'),
    kind: z.enum(['classification', 'regression']).describe('What the label is: a class or a number'),
    label: column.describe('Column with the truth'),
    positive: z
      .union([z.string(), z.number(), z.boolean()])
      .optional()
      .describe('Classification: the class that precision, recall and AUC are about; default the last of two'),
    threshold: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('Two classes: from this probability on a row counts as the positive class'),
    output: column
      .optional()
      .describe('Output of the model that is judged; default its probabilities, its label or its only value'),
    features: z
      .union([z.array(column).min(1), z.record(column, column)])
      .optional()
      .describe('Columns that are features, or feature name to column; default every column named as a feature'),
    weight: column.optional().describe('Column with the weight of each row'),
    slices: z.array(column).max(20).default([]).describe('Columns whose values cut the rows into slices'),
    limit: z
      .int()
      .min(10)
      .max(200_000)
      .default(20_000)
      .describe('Rows used at most; of a larger file a sample is drawn, the same each time'),
    maxBytes: z
      .int()
      .positive()
      .default(2 ** 32)
      .describe('Larger files are refused'),
  })
  .describe('Rows with their truth, to judge versions on')

export const datasetsSection = z
  .record(z.string().refine(isName, 'data set names are letters, digits, ".", "_" or "-", at most 128'), datasetSchema)
  .default({})
  .describe('Data sets by name, for the evaluations of gates')

export const evaluationSchema = z.strictObject({
  dataset: z.string().min(1).describe('Name of a data set'),
  metric: z.enum(METRIC_NAMES).describe('What is measured'),
  atLeast: z.number().optional().describe('The version must reach this'),
  atMost: z.number().optional().describe('The version must not exceed this'),
  tolerance: z
    .number()
    .min(0)
    .optional()
    .describe(
      'How much worse than the champion it may be, in units of the metric; without it the two are not compared',
    ),
  strictness: z
    .enum(['shown', 'excluded'])
    .default('shown')
    .describe(
      '"shown" fails a version when the interval shows it worse than tolerated; "excluded" passes it only when the interval excludes that',
    ),
  confidence: z.number().min(0.5).max(0.9999).default(0.95).describe('Of the interval of the difference'),
  minSliceRows: z.int().min(2).default(50).describe('Smaller slices are named as too small and not judged'),
})

export const gatesSchema = z
  .strictObject({
    evaluations: z.array(evaluationSchema).max(100).default([]).describe('What versions are measured by'),
    slo: z
      .strictObject({
        p50Ms: z.number().positive().optional().describe('Median latency of a call of one row'),
        p95Ms: z.number().positive().optional().describe('Its 95th percentile'),
        p99Ms: z.number().positive().optional().describe('Its 99th percentile'),
        memoryMb: z.number().positive().optional().describe('Memory of the loaded version, MiB'),
        concurrency: z.int().min(1).max(256).default(1).describe('Callers at once while latency is measured'),
      })
      .prefault({})
      .describe('Limits of latency and memory'),
    approvals: z
      .strictObject({
        count: z.int().min(1).max(20).default(1).describe('Different people who have to approve'),
        role: z.enum(['approver', 'admin']).default('approver').describe('Role that they need, once keys exist'),
        fourEyes: z.boolean().default(false).describe('Not by whoever pushed the version or starts its release'),
      })
      .optional()
      .describe('Without it nobody needs to approve'),
    timeoutMs: z.number().positive().default(600_000).describe('Longest that one evaluation may take'),
  })
  .describe('What must hold before a version takes traffic here')

export type DatasetSettings = z.output<typeof datasetSchema>
export type EvaluationSettings = z.output<typeof evaluationSchema>
export type ApprovalSettings = NonNullable<GateSettings['approvals']>
export type GateSettings = z.output<typeof gatesSchema>
