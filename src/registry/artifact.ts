// A version's files as one artifact: digests taken and the manifest read from files that did not change meanwhile.
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import type { Digest, VersionRef } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import { completenessOf } from './completeness.js'
import { RegistryErrors } from './errors.js'
import { type KnownFiles, knownDigest } from './file-memory.js'
import { nativeFormat } from './foreign-format.js'
import { defaultManifest, readManifest } from './manifest.js'
import { backendOf, describedKind } from './model-file.js'
import { readPipelineFile } from './pipeline-file.js'
import { readRemoteFile } from './remote-file.js'

/** The paths that make up a version. */
export interface VersionFiles {
  readonly model: string
  /** undefined when there is none. */
  readonly manifest: string | undefined
  /** Files beside the model that hold its large tensors. */
  readonly external: readonly string[]
}

/** Digest by path. */
export type Content = ReadonlyMap<string, Digest>

export interface LoadedArtifact {
  readonly artifact: VersionArtifact
  readonly content: Content
}

/** Throws REGISTRY_MANIFEST_INVALID, for the model too if it is JSON, and REGISTRY_SOURCE_CHANGED when something writes to the files at the same time. */
export async function loadArtifact(ref: VersionRef, files: VersionFiles, known?: KnownFiles): Promise<LoadedArtifact> {
  const paths = pathsOf(files)
  const before = await Promise.all(paths.map(stampOf))
  const content = await readContent(files, known)
  const text = files.manifest === undefined ? undefined : await readFile(files.manifest, 'utf8')
  const kind = describedKind(files.model)
  const description = kind === undefined ? undefined : await readFile(files.model, 'utf8')
  const { size } = await stat(files.model)
  const after = await Promise.all(paths.map(stampOf))
  const changed = paths.find((_, i) => before[i] !== after[i])
  if (changed !== undefined) throw RegistryErrors.SOURCE_CHANGED({ file: changed })
  const manifest = text === undefined ? defaultManifest : readManifest(text, files.manifest!)
  const digest = content.get(files.model)!
  const backend = backendOf(files.model)
  const artifact = { ref, backend, digest, file: files.model, sizeBytes: size, manifest }
  if (kind === 'remote')
    return { artifact: { ...artifact, remote: readRemoteFile(description!, files.model) }, content }
  if (kind === 'pipeline')
    return { artifact: { ...artifact, pipeline: readPipelineFile(description!, files.model) }, content }
  return { artifact, content }
}

/** Digests of the files that are there. */
export async function readContent(files: VersionFiles, known?: KnownFiles): Promise<Content> {
  const content = new Map<string, Digest>()
  for (const path of pathsOf(files)) {
    const digest = await knownDigest(path, known).catch(nothingIfMissing)
    if (digest !== undefined) content.set(path, digest)
  }
  return content
}

/** The first difference between two contents as a sentence without its full stop, or undefined. */
export function contentDifference(before: Content, now: Content): string | undefined {
  for (const [path, digest] of before) {
    const other = now.get(path)
    if (other === undefined) return `${basename(path)} is gone`
    if (other !== digest) return `${basename(path)} was ${digest} and is now ${other}`
  }
  for (const path of now.keys()) {
    if (!before.has(path)) return `${basename(path)} was not there before`
  }
  return undefined
}

function pathsOf(files: VersionFiles): string[] {
  return [files.model, ...(files.manifest === undefined ? [] : [files.manifest]), ...files.external]
}

/** What changes when a file is written, replaced or touched. The change time cannot be set back, unlike the other. */
async function stampOf(path: string): Promise<string> {
  const { size, mtimeMs, ctimeMs, ino } = await stat(path)
  return `${size} ${mtimeMs} ${ctimeMs} ${ino}`
}

/**
 * The files of a version that starts from `model`, a path given by a person: external data beside it, and `manifest` or else
 * `<base>.json` or `model.json` beside it. Throws REGISTRY_FILE_NOT_FOUND and REGISTRY_NOT_ONNX.
 */
export async function findFiles(model: string, manifest?: string): Promise<VersionFiles> {
  await expectFile(model)
  if (manifest !== undefined) await expectFile(manifest)
  return { model, manifest: manifest ?? (await manifestBeside(model)), external: await externalFilesOf(model) }
}

/** `<base>.json` or `model.json` beside a model, unless it is a model itself: XGBoost's files are often called model.json. */
export async function manifestBeside(model: string): Promise<string | undefined> {
  for (const name of [`${basename(model, extname(model))}.json`, 'model.json']) {
    const file = join(dirname(model), name)
    // `remote.json` is the model itself.
    if (file !== model && (await exists(file)) && (await nativeFormat(file)) === undefined) return file
  }
  return undefined
}

async function externalFilesOf(model: string): Promise<readonly string[]> {
  // What is wrong with it is said by who reads it.
  if (describedKind(model) !== undefined) return []
  const completeness = await completenessOf(model)
  switch (completeness.kind) {
    case 'complete':
      return completeness.external
    case 'foreign':
      throw RegistryErrors.NOT_ONNX({ file: model, found: completeness.found, remedy: completeness.remedy })
    case 'broken': {
      const found = `not a whole one (${completeness.reason})`
      throw RegistryErrors.NOT_ONNX({ file: model, found, remedy: 'Copy or export it again.' })
    }
    case 'missing':
      throw RegistryErrors.FILE_NOT_FOUND({ file: completeness.file })
  }
}

export async function expectFile(file: string): Promise<void> {
  if (!(await exists(file))) throw RegistryErrors.FILE_NOT_FOUND({ file })
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(nothingIfMissing)) !== undefined
}

function nothingIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
  return undefined
}
