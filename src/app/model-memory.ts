// What the data folder remembers about models, so that a server with a thousand of them starts without reading or loading any: what files
// are made of, and what versions look like that were loaded once.
import { createHash } from 'node:crypto'
import path from 'node:path'
import { z } from 'zod'
import type { Platform } from '../core/index.js'
import type { FileMemory } from '../registry/index.js'
import type { VersionDescription, VersionDescriptions } from '../serving/index.js'
import { openRemembered } from '../store/index.js'
import { DATATYPES, type VersionArtifact } from '../tensor/index.js'

export interface ModelMemory {
  readonly files: FileMemory
  readonly descriptions: VersionDescriptions
  close(): Promise<void>
}

type FileFacts = NonNullable<ReturnType<FileMemory['get']>>

const fileFacts = z.union([z.object({ stamp: z.string(), digest: z.string() }), z.object({ wholeStamp: z.string() })])

const tensors = z.array(
  z.object({
    name: z.string(),
    datatype: z.enum(DATATYPES),
    shape: z.array(z.number()),
    isOptional: z.boolean().optional(),
  }),
)

const description = z.object({
  signature: z.object({ inputs: tensors, outputs: tensors, batchAxis: z.literal([0, null]) }),
  labels: z.array(z.string()).optional(),
  isolation: z.string(),
  providers: z.array(z.string()).optional(),
  memoryBytes: z.number().nonnegative(),
  isMeasured: z.boolean(),
  loadMs: z.number().nonnegative(),
})

export async function openModelMemory(dataDir: string, platform: Platform): Promise<ModelMemory> {
  const folder = path.join(dataDir, 'models')
  const [files, descriptions] = await Promise.all([
    openRemembered({ file: path.join(folder, 'files.jsonl'), platform, isValid: isFileFacts }),
    openRemembered({ file: path.join(folder, 'descriptions.jsonl'), platform, isValid: isDescription }),
  ])
  return {
    files,
    descriptions: {
      get: (artifact) => descriptions.get(keyOf(artifact)),
      set(artifact, description) {
        const key = keyOf(artifact)
        const known = descriptions.get(key)
        // Load times differ from load to load; that alone is not worth writing down.
        const isNews = known === undefined || said(known) !== said(description)
        if (isNews) descriptions.set(key, description)
      },
    },
    async close() {
      await Promise.all([files.close(), descriptions.close()])
    },
  }
}

/** The same file with another model.json may take other inputs, and other memory. */
function keyOf({ backend, digest, manifest }: VersionArtifact): string {
  const { description: _, trained: __, load: ___, pinned: ____, ...rest } = manifest
  return `${backend} ${digest} ${createHash('sha256').update(JSON.stringify(rest)).digest('base64url').slice(0, 16)}`
}

function said({ loadMs: _, ...description }: VersionDescription): string {
  return JSON.stringify(description)
}

function isFileFacts(value: unknown): value is FileFacts {
  return fileFacts.safeParse(value).success
}

function isDescription(value: unknown): value is VersionDescription {
  return description.safeParse(value).success
}
