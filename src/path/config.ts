// The `endpoints` section: a stable name, the route behind it, and its policies.
import { z } from 'zod'
import { endpointLogPolicy } from '../log/index.js'
import { routeSchema } from '../route/index.js'
import { endpointCacheSchema } from '../serving/index.js'

export const endpointSchema = z.strictObject({
  route: routeSchema.describe('Which versions answer: version("fraud", 2), or a tree of nodes'),
  deadlineMs: z
    .number()
    .positive()
    .max(3_600_000)
    .default(10_000)
    .describe('Longest a request may take, in milliseconds; past it the caller gets 504'),
  priority: z
    .enum(['high', 'normal', 'low'])
    .default('normal')
    .describe('Of requests that name none; under overload the low ones are refused first'),
  cache: endpointCacheSchema
    .optional()
    .describe('Keeps answers and gives them again; without it every request asks its model'),
  features: z
    .strictObject({
      budgetMs: z
        .number()
        .positive()
        .max(60_000)
        .default(20)
        .describe(
          'Longest that a request waits for the online feature store, in milliseconds; past it, features are filled in',
        ),
      lastKnownMs: z
        .number()
        .min(0)
        .default(3_600_000)
        .describe(
          'While the store does not answer: how old a value read earlier may be to be used again, in milliseconds; 0 uses defaults only',
        ),
    })
    .prefault({})
    .describe("How features are read for the endpoint's versions that name a feature service"),
  log: endpointLogPolicy.prefault({}).describe('What the log keeps of this endpoint, and when the answer waits for it'),
})

export type EndpointConfig = z.output<typeof endpointSchema>
