// Registered versions as a source of what is served. What it knows is in memory (one query at the start, then each decision), and a
// version's files are fetched when it is loaded: a registry of ten thousand versions costs a start nothing.
import { join } from 'node:path'
import { type Digest, type ModelName, type Stop, type VersionRef, versionKey } from '../core/index.js'
import type { Sql } from '../store/index.js'
import type { ModelManifest, VersionArtifact } from '../tensor/index.js'
import { RegistryErrors } from './errors.js'
import type { LocalVersions } from './local-versions.js'
import { defaultManifest, readManifest } from './manifest.js'
import type { AllTables } from './registered-tables.js'
import type { ServableVersion, VersionFile } from './service.js'
import type { ModelSource, SourceEvent } from './types.js'

/** By `model/version`. */
export type ServableVersions = ReadonlyMap<string, ServableVersion>

export interface RegistrySource extends ModelSource {
  has(ref: VersionRef): boolean
  owns(artifact: VersionArtifact): boolean
  /** Makes sure that its files are there and are what was registered. Throws REGISTRY_FETCH_FAILED, REGISTRY_DIGEST_CHANGED. */
  fetch(artifact: VersionArtifact): Promise<void>
  /** Where the copies of all its versions lie, or will. */
  places(): Set<string>
}

export interface RegistrySourceOptions {
  readonly local: LocalVersions
  readonly registered: () => ServableVersions
  /** Calls back when `registered` gives something else. */
  readonly follow: (change: () => void) => Stop
}

export function createRegistrySource({ local, registered, follow }: RegistrySourceOptions): RegistrySource {
  const places = new WeakMap<ServableVersion, string>()
  function placeOf(version: ServableVersion): string {
    const place = places.get(version) ?? local.placeOf(version.served)
    places.set(version, place)
    return place
  }
  function find(ref: VersionRef): ServableVersion {
    const version = registered().get(versionKey(ref))
    if (version === undefined) throw RegistryErrors.VERSION_NOT_FOUND({ model: ref.model, version: ref.version })
    return version
  }
  /** What was last reported or, while nobody watches, listed: a list that somebody else asks for must take no news from who watches. */
  let known: ServableVersions = new Map()
  let watchers = 0
  return {
    has: (ref) => registered().has(versionKey(ref)),
    async settle() {},
    async list() {
      if (watchers === 0) known = new Map(registered())
      return [...registered().values()].map(({ ref }) => ref).sort(compareRefs)
    },
    async get(ref) {
      const version = find(ref)
      const model = version.served.find(({ digest, path }) => digest === version.digest && path.endsWith('.onnx'))!
      return {
        ref,
        backend: 'onnx',
        digest: version.digest,
        file: join(placeOf(version), model.path),
        sizeBytes: model.sizeBytes,
        manifest: manifestOf(version),
      }
    },
    watch(change) {
      const look = (): void => {
        const now = registered()
        const events: SourceEvent[] = []
        for (const [key, { ref }] of known) if (!now.has(key)) events.push({ kind: 'removed', ref })
        for (const [key, { ref }] of now) if (!known.has(key)) events.push({ kind: 'added', ref })
        if (events.length === 0) return
        known = new Map(now)
        for (const event of events) change(event)
      }
      watchers++
      look()
      const stop = follow(look)
      return () => {
        stop()
        watchers--
      }
    },
    owns: ({ ref, file }) => {
      const version = registered().get(versionKey(ref))
      return version !== undefined && file.startsWith(placeOf(version))
    },
    fetch: ({ ref }) => local.ensure(ref, find(ref).served),
    places: () => new Set([...registered().values()].map(placeOf)),
  }
}

function manifestOf({ ref, manifest }: ServableVersion): ModelManifest {
  return manifest === null ? defaultManifest : readManifest(manifest, `model.json of ${versionKey(ref)}`)
}

/** All of them, by two queries. */
export async function readServable(sql: Sql): Promise<Map<string, ServableVersion>> {
  const db = sql.db<AllTables>()
  const rows = await db
    .selectFrom('registry_artifacts')
    .select(['model', 'version', 'digest', 'manifest'])
    .where('is_servable', '=', 1)
    .where('deleted_ms', 'is', null)
    .execute()
  const files = await db.selectFrom('registry_files').selectAll().where('role', '=', 'served').execute()
  return servableFrom(rows, files)
}

/** One, or undefined when it cannot be served or is deleted. */
export async function readServableOne(sql: Sql, model: string, version: number): Promise<ServableVersion | undefined> {
  const db = sql.db<AllTables>()
  const row = await db
    .selectFrom('registry_artifacts')
    .select(['model', 'version', 'digest', 'manifest'])
    .where('model', '=', model)
    .where('version', '=', version)
    .where('is_servable', '=', 1)
    .where('deleted_ms', 'is', null)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const files = await db
    .selectFrom('registry_files')
    .selectAll()
    .where('model', '=', model)
    .where('version', '=', version)
    .where('role', '=', 'served')
    .execute()
  return servableFrom([row], files).get(`${model}/${version}`)
}

function servableFrom(
  rows: readonly Pick<AllTables['registry_artifacts'], 'model' | 'version' | 'digest' | 'manifest'>[],
  files: readonly AllTables['registry_files'][],
): Map<string, ServableVersion> {
  const served = new Map<string, VersionFile[]>()
  for (const { model, version, path, digest, size_bytes } of files) {
    const key = `${model}/${version}`
    const file = { path, digest: digest as Digest, sizeBytes: size_bytes }
    const known = served.get(key)
    if (known === undefined) served.set(key, [file])
    else known.push(file)
  }
  return new Map(
    rows.map(({ model, version, digest, manifest }) => [
      `${model}/${version}`,
      {
        ref: { model: model as ModelName, version },
        digest: digest as Digest,
        served: served.get(`${model}/${version}`) ?? [],
        manifest,
      },
    ]),
  )
}

function compareRefs(a: VersionRef, b: VersionRef): number {
  return a.model < b.model ? -1 : a.model > b.model ? 1 : a.version - b.version
}
