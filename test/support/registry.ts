// A registry on real stores in a folder of its own.
import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { type Digest, ManualClock, testPlatform } from '../../src/core/index.js'
import { createDecisions } from '../../src/decisions/index.js'
import {
  blobKey,
  createLocalVersions,
  createRegisteredChanges,
  createRegistry,
  type RegistryOptions,
  registryChangeKinds,
  registryMigrations,
  type VersionFile,
} from '../../src/registry/index.js'
import { type Blobs, createDiskBlobs, openSql, type Sql } from '../../src/store/index.js'
import { tempFolder } from './temp-folder.js'

export const ADA = { kind: 'person', name: 'ada' } as const

export function digestOf(content: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(content).digest('hex')}` as Digest
}

interface Stores {
  readonly sql: Sql
  readonly blobs: Blobs
}

/** `stores` are closed with the test; default: SQLite and disk. */
export async function openTestRegistry(given: Partial<RegistryOptions> = {}, stores?: Stores) {
  const folder = tempFolder()
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const sql = stores?.sql ?? (await openSql({ file: join(folder, 'metadata.db'), platform }))
  onTestFinished(() => sql.close())
  await sql.migrate('registry', registryMigrations)
  await mkdir(join(folder, 'blobs'), { recursive: true })
  const blobs = stores?.blobs ?? (await createDiskBlobs(join(folder, 'blobs'), platform))
  const changes = createRegisteredChanges(() => clock.nowMs())
  const decisions = await createDecisions({ sql, platform, kinds: [...registryChangeKinds, ...changes.kinds] })
  const local = createLocalVersions({ folder: join(folder, 'registered'), blobs, platform })
  const registry = createRegistry({
    sql,
    blobs,
    platform,
    local,
    changes,
    decide: (change, evidence, by) => decisions.apply(change, evidence, by),
    decisions: (query) => decisions.list(query),
    convert: undefined,
    retention: { keepVersions: undefined, keepDays: undefined, deletedDays: 7 },
    takenElsewhere: async () => [],
    ...given,
  })

  /** Puts contents into the blob store and says what they are as files. */
  async function put(contents: Readonly<Record<string, string | Uint8Array>>): Promise<VersionFile[]> {
    const files: VersionFile[] = []
    for (const [path, content] of Object.entries(contents)) {
      const digest = digestOf(content)
      const bytes = Buffer.from(content)
      await registry.claimBlobs([{ digest, sizeBytes: bytes.length }])
      await blobs.put(blobKey(digest), Readable.from([bytes]))
      files.push({ path, digest, sizeBytes: bytes.length })
    }
    return files
  }
  const register = async (
    model: string,
    contents: Readonly<Record<string, string | Uint8Array>>,
    more: Partial<Parameters<typeof registry.registerVersion>[0]> = {},
  ) => registry.registerVersion({ model, files: await put(contents), source: 'test', by: ADA, ...more })

  return { folder, clock, platform, sql, blobs, decisions, local, registry, put, register }
}

/** A small model of the example. */
export function exampleModel(model: string, version: number): Promise<Buffer> {
  return readFile(new URL(`../../examples/shop/models/${model}/${version}/model.onnx`, import.meta.url))
}
