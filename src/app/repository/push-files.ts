// Files that came with a request to load a model: each version that is not there yet is tried and then pushed, whole or not at all.
// What is served is never overwritten. Code is not taken, as nowhere over the network.
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { HeadraceError, type ModelName } from '../../core/index.js'
import { findFiles, loadArtifact, pushVersion } from '../../registry/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { uploadsFolder } from '../data-folder.js'
import { AppErrors } from '../errors.js'
import type { LoadedProject } from '../load-project.js'
import { RepositoryErrors } from './errors.js'

const MAX_FILES = 256
const MODEL_FILE = 'model.onnx'

/**
 * Numbers of the versions that were pushed; one that is there with the same files is none of them. `tries` rejects for a version
 * that cannot be served. Throws APP_NO_MODELS_FOLDER, REPOSITORY_FILE_INVALID, REPOSITORY_VERSION_TAKEN and what a push throws.
 */
export async function pushFiles(
  project: LoadedProject,
  model: ModelName,
  files: ReadonlyMap<string, Uint8Array>,
  tries: (artifact: VersionArtifact) => Promise<void>,
): Promise<number[]> {
  const { models } = project
  if (models.kind === 'file') throw AppErrors.NO_MODELS_FOLDER()
  const versions = byVersion(model, files)
  const uploads = uploadsFolder(project)
  await mkdir(uploads, { recursive: true })
  const folder = await mkdtemp(join(uploads, 'load-'))
  try {
    const isNew = new Map<number, boolean>()
    for (const [version, contents] of versions) {
      const upload = join(folder, String(version))
      const artifact = await write(model, version, contents, upload)
      isNew.set(version, await isAbsent(join(models.folder, model, String(version)), artifact, contents))
      if (isNew.get(version)) await tries(artifact)
    }
    const pushed = [...versions.keys()].filter((version) => isNew.get(version))
    for (const version of pushed) {
      const file = join(folder, String(version), MODEL_FILE)
      await pushVersion({ folder: models.folder, model, file, version, allowSame: true })
    }
    return pushed
  } catch (error) {
    throw aboutFiles(model, error, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function byVersion(model: string, files: ReadonlyMap<string, Uint8Array>): Map<number, Map<string, Uint8Array>> {
  const versions = new Map<number, Map<string, Uint8Array>>()
  const refuse = (file: string, problem: string) =>
    RepositoryErrors.FILE_INVALID({ model, file: file.slice(0, 200), problem })
  if (files.size > MAX_FILES) throw refuse([...files.keys()][MAX_FILES]!, `it is one of more than ${MAX_FILES}`)
  for (const [name, content] of files) {
    const match = /^([1-9]\d{0,14})\/(.+)$/s.exec(name)
    if (match === null) throw refuse(name, 'its path does not start with the number of a version')
    const [, number, path] = match as unknown as [string, string, string]
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL ends a path for the file system, and the others hide things.
    if (path.split('/').some((part) => part === '' || part === '.' || part === '..') || /[\\:\u0000-\u001f]/.test(path))
      throw refuse(name, 'its path is not a plain one below the version')
    if (path.length > 255) throw refuse(name, 'its path is longer than 255 characters')
    if (/^model\.(ts|mts|mjs|cjs|js)$|^(remote|pipeline)\.json$/.test(path))
      throw refuse(name, 'the server would run it or what it names, and takes such files from its models folder alone')
    const contents = versions.get(Number(number)) ?? new Map<string, Uint8Array>()
    versions.set(Number(number), contents.set(path, content))
  }
  for (const [version, contents] of versions)
    if (!contents.has(MODEL_FILE)) throw refuse(`${version}/${MODEL_FILE}`, 'it is missing')
  return versions
}

async function write(
  model: ModelName,
  version: number,
  contents: ReadonlyMap<string, Uint8Array>,
  folder: string,
): Promise<VersionArtifact> {
  for (const [path, content] of contents) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  const files = await findFiles(join(folder, MODEL_FILE))
  const parts = new Set([files.model, files.manifest, ...files.external])
  for (const path of contents.keys())
    if (!parts.has(join(folder, path)))
      throw RepositoryErrors.FILE_INVALID({ model, file: `${version}/${path}`, problem: 'it is no part of the model' })
  return (await loadArtifact({ model, version }, files)).artifact
}

/** False when a version is there with the same files. Throws REPOSITORY_VERSION_TAKEN when it has others. */
async function isAbsent(
  there: string,
  { ref, file }: VersionArtifact,
  contents: ReadonlyMap<string, Uint8Array>,
): Promise<boolean> {
  if ((await stat(there).catch(() => undefined)) === undefined) return true
  const arrived = await digests(ref, dirname(file))
  const known = await digests(ref, there).catch(() => new Map<string, string>())
  for (const path of contents.keys())
    if (known.get(path) !== arrived.get(path)) throw RepositoryErrors.VERSION_TAKEN({ ...ref, file: path })
  return false
}

async function digests(ref: VersionArtifact['ref'], folder: string): Promise<ReadonlyMap<string, string>> {
  const { content } = await loadArtifact(ref, await findFiles(join(folder, MODEL_FILE)))
  return new Map([...content].map(([path, digest]) => [relative(folder, path), digest]))
}

/** The caller knows nothing of our temporary files: errors speak of what was sent. */
function aboutFiles(model: string, error: unknown, folder: string): unknown {
  if (!(error instanceof HeadraceError)) return error
  const { code, params } = error
  const file = typeof params['file'] === 'string' ? relative(folder, params['file']) : ''
  if (code === 'REGISTRY_NOT_ONNX')
    return RepositoryErrors.FILE_INVALID({ model, file, problem: `it is ${params['found']}` }, error)
  if (code === 'REGISTRY_FILE_NOT_FOUND')
    return RepositoryErrors.FILE_INVALID(
      { model, file, problem: 'the model keeps tensors in it, and it is missing' },
      error,
    )
  if (code === 'REGISTRY_MANIFEST_INVALID') {
    const problem = (params['problems'] as readonly string[]).join(' ').replace(/\.$/, '')
    return RepositoryErrors.FILE_INVALID({ model, file: basename(String(params['source'])), problem }, error)
  }
  if (code === 'REGISTRY_VERSION_EXISTS')
    return RepositoryErrors.VERSION_TAKEN({ model, version: Number(params['version']), file: MODEL_FILE }, error)
  return error
}
