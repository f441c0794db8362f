// The cache's configuration: `serving.cache` for the whole server, `cache` of an endpoint.
import { z } from 'zod'
import type { EndpointName } from '../../core/index.js'
import type { CachePolicy } from '../types.js'

const MIB = 1024 * 1024

export const cacheSection = z
  .strictObject({
    maxBytes: z
      .int()
      .min(0)
      .default(64 * MIB)
      .describe('Memory for cached answers, in each process'),
    staleMaxBytes: z
      .int()
      .min(0)
      .default(16 * MIB)
      .describe('Memory for last known answers, which routes fall back to, in each process'),
    sharedMaxBytes: z
      .int()
      .min(0)
      .default(64 * MIB)
      .describe('Memory for the answers that the processes of one server share'),
    sharedTimeoutMs: z
      .number()
      .positive()
      .default(20)
      .describe('Longest a request waits for Redis; after one that took longer Redis is bypassed for a while'),
    switchOffHitRate: z
      .number()
      .min(0)
      .max(1)
      .default(0.05)
      .describe('Caching an endpoint is given up when fewer of its requests repeat; 0 never gives up'),
    switchOffMinRequests: z
      .int()
      .positive()
      .default(1000)
      .describe('Requests of an endpoint that must have been seen before that'),
    switchOffWindowMs: z.int().positive().default(600_000).describe('How long they must have been watched'),
  })
  .prefault({})
  .describe('The cache of answers; an endpoint uses it when it declares a cache of its own.')

export const endpointCacheSchema = z.strictObject({
  key: z
    .enum(['tensors', 'request'])
    .default('tensors')
    .describe('What makes two requests the same: their tensors, or their inputs as they arrived'),
  ttlMs: z.number().positive().max(31_536_000_000).default(3_600_000).describe('How long an answer is given again'),
  scope: z.enum(['tenant', 'shared']).default('tenant').describe('Whether tenants share answers'),
  staleMs: z
    .number()
    .min(0)
    .max(31_536_000_000)
    .default(86_400_000)
    .describe('How long an answer can be fallen back to as the last known one; 0 keeps none'),
})

export function cachePolicy(endpoint: string, options: z.output<typeof endpointCacheSchema>): CachePolicy {
  return { endpoint: endpoint as EndpointName, ...options }
}
