// What a loaded model has in place of its model.json, in model.json's words; stored with the decision to load it.
import { z } from 'zod'
import { readManifest } from '../../registry/index.js'
import type { ModelManifest } from '../../tensor/index.js'

const rows = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)

const schema = z.strictObject({
  batching: z
    .strictObject({
      enabled: z.boolean().optional(),
      maxBatchSize: rows.optional(),
      maxBatchSizeUnderPressure: rows.optional(),
      maxDelayMs: z.number().min(0).optional(),
      maxQueueRows: rows.optional(),
      preferredBatchSizes: z.array(rows).min(1).optional(),
    })
    .optional(),
  instances: z.int().min(1).max(64).optional(),
  /** Which versions are served; all when it is absent. */
  versions: z
    .union([z.strictObject({ latest: z.int().min(1) }), z.strictObject({ specific: z.array(z.int().min(1)).min(1) })])
    .optional(),
})

export type ModelOverride = z.output<typeof schema>

/** Throws a ZodError or a SyntaxError. */
export function readOverride(text: string): ModelOverride {
  return schema.parse(JSON.parse(text))
}

/** As it is stored; undefined when it changes nothing. */
export function overrideText(override: ModelOverride): string | undefined {
  const text = JSON.stringify(override)
  return text === '{}' ? undefined : text
}

/** A version's manifest with the override laid over it. Throws REGISTRY_MANIFEST_INVALID when the two do not go together. */
export function overlay(manifest: ModelManifest, { batching, instances }: ModelOverride): ModelManifest {
  if (batching === undefined && instances === undefined) return manifest
  const merged = {
    ...manifest,
    ...(instances !== undefined && { instances }),
    batching: { ...manifest.batching, ...batching },
  }
  return readManifest(JSON.stringify(merged), 'its model.json with the config')
}

/** Those of a model's versions that are served, ascending. */
export function servedVersions(found: readonly number[], { versions }: ModelOverride): number[] {
  const ascending = [...found].sort((a, b) => a - b)
  if (versions === undefined) return ascending
  if ('latest' in versions) return ascending.slice(-versions.latest)
  return ascending.filter((version) => versions.specific.includes(version))
}
