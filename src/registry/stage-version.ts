// Arranges a pushed file as a version's files in one folder: the ONNX file, what it names, its model.json, and for another library's
// file the ONNX that is made of it with the original beside it.
import { mkdir, rename, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { Digest, VersionRef } from '../core/index.js'
import type { ModelConverter } from '../formats/index.js'
import { findFiles, loadArtifact, type VersionFiles } from './artifact.js'
import { convertInto } from './convert-into.js'
import { copyDurably } from './copy-file.js'
import { fileDigest } from './digest.js'
import { nativeFormat } from './foreign-format.js'
import { modelFileFor } from './model-file.js'
import type { VersionFile } from './service.js'

export interface StagedFiles {
  /** Where they lie by their paths. */
  readonly folder: string
  readonly files: readonly VersionFile[]
  readonly digest: Digest
  /** What to know about a conversion. */
  readonly notices: readonly string[]
}

export interface StageOptions {
  readonly file: string
  /** Default: `<base>.json` or `model.json` beside it. */
  readonly manifest?: string
  /** Where they are arranged; on the disk of the file they are moved, else copied. */
  readonly into: string
  readonly convert: ModelConverter
}

/** Throws REGISTRY_FILE_NOT_FOUND, REGISTRY_NOT_ONNX, REGISTRY_MANIFEST_INVALID, REGISTRY_SOURCE_CHANGED and what `convert` throws. */
export async function stageVersion({ file, manifest, into, convert }: StageOptions): Promise<StagedFiles> {
  const given = { file, ...(manifest === undefined ? {} : { manifest }) }
  const format = await nativeFormat(file)
  await mkdir(into, { recursive: true })
  if (format !== undefined) {
    const { files, notices } = await convertInto(into, given, format, convert)
    return { ...(await filesIn(into, files, [files.original])), notices }
  }
  const found = await findFiles(file, manifest)
  const files: VersionFiles = {
    model: join(into, modelFileFor(found.model)),
    manifest: found.manifest && join(into, 'model.json'),
    external: found.external.map((path) => join(into, relative(dirname(found.model), path))),
  }
  await moveInto(found.model, files.model)
  if (found.manifest && files.manifest) await moveInto(found.manifest, files.manifest)
  for (const [i, path] of found.external.entries()) await moveInto(path, files.external[i]!)
  return { ...(await filesIn(into, files, [])), notices: [] }
}

async function filesIn(
  folder: string,
  files: VersionFiles,
  more: readonly string[],
): Promise<Omit<StagedFiles, 'notices'>> {
  // Also reads model.json.
  const { artifact, content } = await loadArtifact({ model: basename(folder), version: 0 } as VersionRef, files)
  const paths = [...content.keys(), ...more]
  const listed = await Promise.all(
    paths.map(async (path) => ({
      path: relative(folder, path).replaceAll('\\', '/'),
      digest: content.get(path) ?? (await fileDigest(path)),
      sizeBytes: (await stat(path)).size,
    })),
  )
  return { folder, files: listed, digest: artifact.digest }
}

async function moveInto(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await rename(from, to).catch(() => copyDurably(from, to))
}
