// The log's part of the configuration: the `log` section for the folder, and `log` of each endpoint.
import { z } from 'zod'
import type { LogPolicy } from './types.js'

const MiB = 1024 * 1024

export const logSection = z
  .strictObject({
    bufferBytes: z
      .int()
      .min(64 * 1024)
      .max(1024 * MiB)
      .default(8 * MiB)
      .describe(
        'Memory for records that are not written yet, allocated at start. Full, it drops payloads, then records.',
      ),
    segmentBytes: z
      .int()
      .min(64 * 1024)
      .default(64 * MiB)
      .describe('A segment file of this size is sealed and a new one started.'),
    segmentHours: z
      .number()
      .positive()
      .default(1)
      .describe('A segment file this old is sealed and a new one started. Retention works on sealed segments.'),
    commitIntervalMs: z
      .number()
      .min(0)
      .max(50)
      .default(50)
      .describe('Longest time a record waits before it is written and synced together with others.'),
    maxPayloadBytes: z
      .int()
      .min(0)
      .max(8 * MiB)
      .default(MiB)
      .describe('A larger payload is dropped and counted; its header is kept.'),
  })
  .prefault({})
  .describe('The prediction log: buffer, segments and commits.')

/** The `log` section with its defaults filled in. */
export type LogConfig = z.output<typeof logSection>

export const endpointLogPolicy = z
  .strictObject({
    payloadSample: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('Share of predictions whose inputs and outputs are kept, 0 to 1. Headers are always kept.'),
    redact: z.array(z.string()).default([]).describe('Input or feature names whose values are written as null.'),
    retentionDays: z
      .number()
      .positive()
      .nullable()
      .default(30)
      .transform((days) => days ?? undefined)
      .describe('Days after which records are removed; null keeps them for ever.'),
    payloadRetentionDays: z
      .number()
      .positive()
      .optional()
      .describe('Days after which payloads are removed and headers stay; absent means as long as retentionDays.'),
    ack: z
      .enum(['none', 'before-reply'])
      .default('none')
      .describe('before-reply sends the answer only when its record survives power loss.'),
  })
  .prefault({})
  .describe('What this endpoint writes to the prediction log, and for how long.')

/** An endpoint's `log` section with its defaults filled in. */
export type EndpointLogPolicy = z.output<typeof endpointLogPolicy> & LogPolicy
