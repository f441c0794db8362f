// model.json: what a person may say about a version beside its graph. Every key is optional; an unknown one is an
// error, because a misspelt "labels" would otherwise go unnoticed until the answers are read.
import { z } from 'zod'
import type { ModelManifest } from '../tensor/index.js'
import { objectOf, readJsonFile, wholeNumber } from './json-file.js'

const names = (what: string, example: string) => {
  const error = `a list of ${what} is needed, such as ${example}`
  return z
    .array(z.string({ error: `${what} are text in double quotes` }).min(1, { error: 'a name cannot be empty' }), {
      error,
    })
    .min(1, { error })
    .superRefine((list, context) => {
      const repeated = list.findIndex((name, i) => list.indexOf(name) !== i)
      if (repeated >= 0)
        context.addIssue({ code: 'custom', path: [repeated], message: 'each name may stand there once' })
    })
}

const featureValue = z.union([z.string(), z.number(), z.boolean(), z.null()], {
  error: 'a feature is text, a number, true, false or null',
})
const milliseconds = (least: number) =>
  z
    .number({ error: 'a number of milliseconds is needed' })
    .min(least, { error: `a number of milliseconds, at least ${least}, is needed` })

const sizes = z
  .array(wholeNumber(1, 'rows'), { error: 'a list of numbers of rows is needed, such as [8, 16, 32]' })
  .min(1, { error: 'a list of numbers of rows is needed, such as [8, 16, 32]' })
  .refine((list) => list.every((size, i) => i === 0 || size > list[i - 1]!), {
    error: 'each size must be larger than the one before',
  })

const paddedInput = z.strictObject(
  { axis: wholeNumber(1, 'axes').default(1), value: z.number({ error: 'a number is needed' }).default(0) },
  objectOf('an object such as {"axis": 1, "value": 0}'),
)

const inputName = z.string({ error: 'the name of an input is needed' }).min(1, { error: 'a name cannot be empty' })

const padding = z.strictObject(
  {
    inputs: z.record(z.string(), paddedInput, objectOf('an object such as {"input_ids": {"axis": 1, "value": 0}}')),
    multipleOf: wholeNumber(1, 'elements').default(1),
    mask: inputName.optional(),
    lengths: inputName.optional(),
    outputs: z
      .record(
        z.string(),
        z.union([z.null(), wholeNumber(1, 'axes')], { error: 'an axis from 1 on, or null, is needed' }),
        objectOf('an object of axes by output name'),
      )
      .default({}),
  },
  objectOf('an object such as {"inputs": {"input_ids": {"axis": 1, "value": 0}}}'),
)

const batchingKeys = z.strictObject(
  {
    enabled: z.boolean({ error: 'true or false is needed' }).default(true),
    maxBatchSize: wholeNumber(1, 'rows').default(32),
    maxDelayMs: milliseconds(0).default(10),
    maxQueueRows: wholeNumber(1, 'rows').default(1024),
    maxBatchSizeUnderPressure: wholeNumber(1, 'rows').optional(),
    maxWaitMs: milliseconds(1).optional(),
    preferredBatchSizes: sizes.optional(),
    allowedBatchSizes: sizes.optional(),
    padRows: z.enum(['repeat', 'zeros'], { error: 'one of "repeat" and "zeros" is needed' }).optional(),
    padding: padding.optional(),
  },
  objectOf('an object such as {"maxBatchSize": 64}'),
)

const batching = batchingKeys.superRefine((options, context) => {
  const { maxBatchSize, maxBatchSizeUnderPressure, allowedBatchSizes } = options
  const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
  if (maxBatchSizeUnderPressure !== undefined && maxBatchSizeUnderPressure < maxBatchSize)
    refuse('maxBatchSizeUnderPressure', `at least maxBatchSize is needed, which is ${maxBatchSize}`)
  if (allowedBatchSizes !== undefined && allowedBatchSizes[0]! > maxBatchSize)
    refuse('allowedBatchSizes', `a size of at most maxBatchSize is needed, which is ${maxBatchSize}`)
})

const providerName = z.enum(['cpu', 'cuda', 'tensorrt'], { error: 'one of "cpu", "cuda" and "tensorrt" is needed' })
const providerOption = z.union([z.string(), z.number(), z.boolean()], {
  error: 'text, a number, true or false is needed',
})

/** A name alone, or with options of its own. */
const provider = z.union(
  [
    providerName.transform((name) => ({ name, options: {} })),
    z.strictObject({ name: providerName, options: z.record(z.string(), providerOption).default({}) }),
  ],
  { error: 'a provider is needed, such as "cuda" or {"name": "cuda", "options": {"device_id": 0}}' },
)

const providers = z
  .array(provider, { error: 'a list of providers is needed, such as ["cuda", "cpu"]' })
  .min(1, { error: 'a list of providers is needed, such as ["cuda", "cpu"]' })

/** Written by a push that converts; nobody needs to write it by hand. */
const convertedFrom = z.strictObject(
  {
    format: z.enum(['xgboost', 'lightgbm'], { error: 'one of "xgboost" and "lightgbm" is needed' }),
    libraryVersion: z.string({ error: 'text is needed' }),
    objective: z.string({ error: 'text is needed' }),
    digest: z.string({ error: 'text is needed' }),
    rowsCompared: wholeNumber(0, 'rows'),
  },
  objectOf('what a push of a converted model writes'),
)

const warmupRow = z.strictObject(
  { inputs: z.record(z.string(), featureValue, objectOf('an object of features by name')) },
  objectOf('an object such as {"inputs": {"amount": 12.5}}'),
)

const manifestKeys = z.strictObject(
  {
    description: z.string({ error: 'text is needed' }).default(''),
    features: names('feature names', '["age", "income"]').optional(),
    featureService: z
      .string({ error: 'the name of a feature service is needed' })
      .min(1, { error: 'a name cannot be empty' })
      .optional(),
    labels: names('class names', '["no", "yes"]').optional(),
    outputs: z
      .record(
        z.string(),
        z.enum(['label', 'probabilities', 'value'], { error: 'one of "label", "probabilities" and "value" is needed' }),
        objectOf('an object of meanings by output name'),
      )
      .default({}),
    batching: batching.prefault({}),
    instances: wholeNumber(1, 'instances').max(64, { error: 'at most 64 instances are possible' }).default(1),
    isolation: z
      .enum(['auto', 'inline', 'thread', 'process'], {
        error: 'one of "auto", "inline", "thread" and "process" is needed',
      })
      .default('auto'),
    group: z.string({ error: 'a name is needed' }).min(1, { error: 'a name cannot be empty' }).optional(),
    load: z.enum(['preload', 'lazy'], { error: 'one of "preload" and "lazy" is needed' }).optional(),
    pinned: z.boolean({ error: 'true or false is needed' }).optional(),
    providers: providers.optional(),
    timeoutMs: wholeNumber(1, 'milliseconds').default(30_000),
    slowMs: z
      .number({ error: 'a number of milliseconds is needed' })
      .positive({ error: 'a number of milliseconds above 0 is needed' })
      .optional(),
    cost: z.number({ error: 'a number is needed' }).min(0, { error: 'a number, at least 0, is needed' }).optional(),
    warmup: z.array(warmupRow, objectOf('a list of rows such as [{"inputs": {"amount": 12.5}}]')).default([]),
    trained: z.record(z.string(), z.unknown(), objectOf('an object of free facts')).optional(),
    convertedFrom: convertedFrom.optional(),
  },
  objectOf('an object'),
)

const manifest = manifestKeys.superRefine(({ instances, isolation, group }, context) => {
  if (instances > 1 && isolation === 'inline')
    context.addIssue({
      code: 'custom',
      path: ['instances'],
      message: 'with "isolation": "inline" there is one, on the main thread; leave one of the two out',
    })
  if (group !== undefined && isolation !== 'process')
    context.addIssue({ code: 'custom', path: ['group'], message: 'only with "isolation": "process"; leave it out' })
})

/** The manifest of a version that comes without a model.json. */
export const defaultManifest: ModelManifest = complete(manifest.parse({}))

/**
 * Reads the text of a model.json; `source` names it in messages. Throws REGISTRY_MANIFEST_INVALID with every problem at once.
 *
 * @example readManifest('{"labels": ["no", "yes"]}', 'models/churn/3/model.json').batching.maxBatchSize // 32
 */
export function readManifest(text: string, source: string): ModelManifest {
  return complete(readJsonFile(text, source, 'model.json', manifest, knownKeys))
}

/** Keys that may be absent in the file are there and undefined in a ModelManifest. */
function complete(data: z.infer<typeof manifest>): ModelManifest {
  return { ...data, features: data.features, labels: data.labels, trained: data.trained }
}

function knownKeys([first, second, third]: readonly PropertyKey[]): string[] {
  return Object.keys(shapeAt(first, second, third))
}

function shapeAt(first?: PropertyKey, second?: PropertyKey, third?: PropertyKey): object {
  if (first === 'warmup') return warmupRow.shape
  if (first === 'convertedFrom') return convertedFrom.shape
  if (first !== 'batching') return manifestKeys.shape
  if (second !== 'padding') return batchingKeys.shape
  return third === 'inputs' ? paddedInput.shape : padding.shape
}
