// Puts a model into the models folder as its next version, whole or not at all: the files are written into a hidden folder
// beside the versions and made durable, the number is claimed by making its folder (which only one of several pushes can do),
// and a rename over that empty folder publishes it.
import { chmod, mkdir, mkdtemp, open, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { type Digest, type ModelName, parseModelName, type VersionRef } from '../core/index.js'
import type { ModelConverter } from '../formats/index.js'
import { type Content, findFiles, loadArtifact, readContent, type VersionFiles } from './artifact.js'
import { convertInto } from './convert-into.js'
import { copyDurably } from './copy-file.js'
import { RegistryErrors } from './errors.js'
import { parseVersion } from './folder-look.js'
import { nativeFormat } from './foreign-format.js'
import { MODEL_FILES, modelFileFor } from './model-file.js'

export interface PushOptions {
  /** The models folder; made if it is not there. */
  readonly folder: string
  readonly model: string
  /** The ONNX file or script, or with `convert` a file of XGBoost or LightGBM. */
  readonly file: string
  /** Path of its model.json; default: `<base>.json` or `model.json` beside the file, if there is one. */
  readonly manifest?: string
  /** Default: one more than the highest number there. */
  readonly version?: number
  /** Makes a new version even when the newest has the same content. Default false. */
  readonly allowSame?: boolean
  /** Makes ONNX of XGBoost's and LightGBM's files; without it they are refused. */
  readonly convert?: ModelConverter
}

export interface PushedVersion {
  readonly ref: VersionRef
  readonly digest: Digest
  /** Where it is now. */
  readonly folder: string
  /** What the person who pushed should know about the conversion. */
  readonly notices: readonly string[]
}

/**
 * Copies a model into the models folder as a new version.
 *
 * Throws REGISTRY_NAME_INVALID, REGISTRY_FILE_NOT_FOUND, REGISTRY_NOT_ONNX, REGISTRY_MANIFEST_INVALID,
 * REGISTRY_SAME_CONTENT, REGISTRY_VERSION_EXISTS, and what `convert` throws.
 *
 * @example await pushVersion({ folder: 'models', model: 'fraud', file: 'out/fraud.onnx' }) // fraud/3
 */
export async function pushVersion(options: PushOptions): Promise<PushedVersion> {
  const model = parseModelName(options.model)
  if (!model) throw RegistryErrors.NAME_INVALID({ what: 'the name of a model', name: options.model })
  const format = options.convert && (await nativeFormat(options.file))
  if (!options.convert || !format) {
    return publishFiles(options, model, await findFiles(options.file, options.manifest), [])
  }
  const made = await makeFolder(options.folder, '.convert-')
  try {
    const { files, notices } = await convertInto(made, options, format, options.convert)
    return { ...(await publishFiles(options, model, files, [files.original])), notices }
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}

/** `kept` are files that lie in the version's folder and do not belong to it. */
async function publishFiles(
  options: PushOptions,
  model: ModelName,
  files: VersionFiles,
  kept: readonly string[],
): Promise<PushedVersion> {
  const source = await loadArtifact({ model, version: 0 }, files)
  const modelFolder = join(options.folder, model)
  await mkdir(modelFolder, { recursive: true })
  const content = byName(files, source.content)
  if (!options.allowSame) await refuseSame(modelFolder, model, content, source.artifact.digest)
  const staging = await makeFolder(modelFolder, '.push-')
  try {
    const copied = await copyInto(staging, files, kept)
    if (byName(copied, await readContent(copied)) !== content) {
      throw RegistryErrors.SOURCE_CHANGED({ file: options.file })
    }
    const version = await claim(modelFolder, model, options.version)
    const folder = join(modelFolder, String(version))
    await publish(staging, folder)
    await syncFolder(modelFolder)
    return { ref: { model, version }, digest: source.artifact.digest, folder, notices: [] }
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

async function makeFolder(parent: string, prefix: string): Promise<string> {
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, prefix))
  // mkdtemp makes it private; the server that reads it may run as somebody else.
  await chmod(folder, 0o755)
  return folder
}

/** The digests under the names that the files have in a version's folder, as text to compare. */
function byName(files: VersionFiles, content: Content): string {
  const names = files.external.map((file) => [relative(dirname(files.model), file), content.get(file)])
  return JSON.stringify([content.get(files.model), files.manifest && content.get(files.manifest), names])
}

async function refuseSame(modelFolder: string, model: ModelName, content: string, digest: Digest): Promise<void> {
  const newest = (await versionsIn(modelFolder)).at(-1)
  if (newest === undefined) return
  // A newest version that is damaged or not finished is not the same, and does not stand in the way of a better one.
  const folder = join(modelFolder, String(newest))
  const file = (await readdir(folder).catch(() => [])).find((name) => MODEL_FILES.includes(name))
  const files = file && (await findFiles(join(folder, file)).catch(() => undefined))
  if (files && byName(files, await readContent(files)) === content) {
    throw RegistryErrors.SAME_CONTENT({ model, version: newest, digest })
  }
}

async function copyInto(folder: string, files: VersionFiles, kept: readonly string[]): Promise<VersionFiles> {
  const copied = {
    model: join(folder, modelFileFor(files.model)),
    manifest: files.manifest && join(folder, 'model.json'),
    external: files.external.map((file) => join(folder, relative(dirname(files.model), file))),
  }
  await copyDurably(files.model, copied.model)
  for (const [i, file] of files.external.entries()) await copyDurably(file, copied.external[i]!)
  if (files.manifest && copied.manifest) await copyDurably(files.manifest, copied.manifest)
  for (const file of kept) await copyDurably(file, join(folder, basename(file)))
  await syncFolder(folder)
  return copied
}

/** Makes a rename in `folder` survive power loss. Windows cannot open folders, and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  try {
    await handle?.sync()
  } finally {
    await handle?.close()
  }
}

/** Takes a number for good by making its folder: making a folder fails for all but one. */
async function claim(modelFolder: string, model: ModelName, wanted: number | undefined): Promise<number> {
  for (let version = wanted ?? ((await versionsIn(modelFolder)).at(-1) ?? 0) + 1; ; version++) {
    try {
      await mkdir(join(modelFolder, String(version)))
      return version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (wanted !== undefined) throw RegistryErrors.VERSION_EXISTS({ model, version })
    }
  }
}

async function publish(staging: string, folder: string): Promise<void> {
  try {
    await rename(staging, folder)
  } catch {
    // Windows does not rename over a folder, not even an empty one. Elsewhere this fails like the first attempt did.
    await rmdir(folder)
    await rename(staging, folder)
  }
}

/** Numbers that are taken, ascending. */
export async function versionsIn(modelFolder: string): Promise<number[]> {
  const numbers = (await readdir(modelFolder)).map(parseVersion)
  return numbers.filter((version) => version !== undefined).sort((a, b) => a - b)
}
