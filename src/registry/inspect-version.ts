// Finds what of a version's files can be served: an ONNX file and what it names, or a file of XGBoost or LightGBM, which is converted.
// It works on copies in a folder of its own, which then is the version's place on this machine.
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, posix, relative } from 'node:path'
import { HeadraceError } from '../core/index.js'
import type { ModelConverter } from '../formats/index.js'
import { completenessOf } from './completeness.js'
import { fileDigest } from './digest.js'
import { foreignFormat } from './foreign-format.js'
import { readManifest } from './manifest.js'
import { columnNames, type MlModel, readMlModel } from './mlmodel.js'
import { readOnnxOutline } from './onnx-file.js'
import { readOnnxSignature } from './onnx-signature.js'
import type { RegisteredSignature, VersionFile } from './service.js'
import { whyNotServable } from './unservable.js'

export type Inspected =
  | {
      readonly isServable: true
      /** `model.onnx`, what it names, and perhaps `model.json`; they lie in `folder`. */
      readonly served: readonly VersionFile[]
      /** Those of them that were not among the registered files. */
      readonly made: readonly VersionFile[]
      readonly manifest: string | null
      readonly signature: RegisteredSignature | undefined
      readonly notices: readonly string[]
    }
  | { readonly isServable: false; readonly reason: string; readonly signature: RegisteredSignature | undefined }

export interface InspectOptions {
  readonly files: readonly VersionFile[]
  /** An empty folder for what is served. */
  readonly folder: string
  /** Puts the bytes of a file there. */
  readonly fetch: (file: VersionFile, to: string) => Promise<void>
  readonly convert: ModelConverter | undefined
  /** A conversion that fails rejects, in place of a version that cannot be served. */
  readonly mustServe: boolean
}

const MODEL = 'model.onnx'
const MANIFEST = 'model.json'
const MAX_TEXT_BYTES = 1024 * 1024
/** Endings of files that may be XGBoost's or LightGBM's own. */
const NATIVE = /\.(json|ubj|xgb|bst|txt|lgb|model)$/i

/** Throws what `fetch` throws, REGISTRY_MANIFEST_INVALID. */
export async function inspectVersion(options: InspectOptions): Promise<Inspected> {
  const { files, folder } = options
  const byPath = new Map(files.map((file) => [file.path, file]))
  const mlModelFile = files
    .filter(({ path, sizeBytes }) => posix.basename(path) === 'MLmodel' && sizeBytes <= MAX_TEXT_BYTES)
    .sort((a, b) => a.path.length - b.path.length)[0]
  const mlModel = mlModelFile && readMlModel(await textOf(options, mlModelFile))
  const root = mlModelFile ? posix.dirname(mlModelFile.path) : '.'
  const signature = mlModel?.signature
  const unservable = (reason: string): Inspected => ({ isServable: false, reason, signature })

  const chosen = chooseModel(files, byPath, mlModel, root)
  if (typeof chosen === 'string') return unservable(chosen)
  if (chosen !== undefined) return inspectModel(chosen)
  for (const file of nativeCandidates(files, byPath, mlModel, root)) {
    const result = await inspectModel(file)
    if (result.isServable) return result
  }
  return unservable(whyNotServable(files, mlModel))

  async function inspectModel(file: VersionFile): Promise<Inspected> {
    const model = join(folder, MODEL)
    await rm(model, { force: true })
    await options.fetch(file, model)
    const foreign =
      file.sizeBytes === 0 ? { found: 'an empty file', remedy: 'Export it again.' } : await foreignFormat(model)
    if (foreign !== undefined && 'native' in foreign && foreign.native !== undefined) return convertModel(file, model)
    if (foreign !== undefined) return unservable(`"${file.path}" is ${foreign.found}. ${foreign.remedy}`)
    const external: VersionFile[] = []
    const outline = await readOnnxOutline(model)
    if (outline.kind === 'broken') return unservable(`"${file.path}" is not a whole ONNX file: ${outline.reason}`)
    for (const { location } of outline.externalFiles) {
      const path = posix.normalize(posix.join(posix.dirname(file.path), location))
      const beside = byPath.get(path)
      if (beside === undefined)
        return unservable(`"${file.path}" keeps tensors in "${location}", which was not registered with it`)
      const to = join(folder, location)
      await mkdir(dirname(to), { recursive: true })
      await options.fetch(beside, to)
      external.push({ ...beside, path: location })
    }
    const completeness = await completenessOf(model)
    if (completeness.kind === 'broken') return unservable(`"${file.path}" is not whole: ${completeness.reason}`)
    const ofGraph = await readOnnxSignature(model)
    const { manifest, made } = await manifestFor(file, ofGraph)
    return {
      isServable: true,
      served: [{ ...file, path: MODEL }, ...external, ...(made ? [made.file] : [])],
      made: made?.isNew ? [made.file] : [],
      manifest,
      signature: ofGraph ?? signature,
      notices: [],
    }
  }

  /** The model.json beside the model; without one, the names of the columns that MLflow knows and the graph does not say. */
  async function manifestFor(
    file: VersionFile,
    graph: RegisteredSignature | undefined,
  ): Promise<{ manifest: string | null; made?: { file: VersionFile; isNew: boolean } }> {
    const given = manifestOf(file, byPath)
    const path = join(folder, MANIFEST)
    if (given !== undefined) {
      await options.fetch(given, path)
      const text = await readFile(path, 'utf8')
      readManifest(text, given.path)
      return { manifest: text, made: { file: { ...given, path: MANIFEST }, isNew: false } }
    }
    const columns = signature && columnNames(signature)
    const input = graph?.inputs.length === 1 ? graph.inputs[0] : undefined
    const isUnnamed = input?.shape?.length === 2 && input.shape[1] === columns?.length
    if (columns === undefined || !isUnnamed || new Set(columns).size !== columns.length) return { manifest: null }
    const text = `${JSON.stringify({ features: columns }, null, 2)}\n`
    await writeFile(path, text)
    return { manifest: text, made: { file: await asFile(folder, MANIFEST), isNew: true } }
  }

  async function convertModel(file: VersionFile, model: string): Promise<Inspected> {
    const { convert } = options
    if (convert === undefined) return unservable('it would have to be converted, and this process does not convert')
    // The converter tells formats apart by their content, and speaks of the file by its name.
    const original = join(folder, posix.basename(file.path))
    if (original !== model) await rename(model, original)
    const given = manifestOf(file, byPath)
    let own: Record<string, unknown> = {}
    if (given !== undefined) {
      await options.fetch(given, join(folder, MANIFEST))
      const text = await readFile(join(folder, MANIFEST), 'utf8')
      readManifest(text, given.path)
      own = JSON.parse(text.replace(/^\uFEFF/, '')) as Record<string, unknown>
    }
    try {
      const { bytes, manifest, notices } = await convert(original)
      const told = { ...manifest, ...own, convertedFrom: manifest['convertedFrom'] }
      const text = `${JSON.stringify(told, null, 2)}\n`
      readManifest(text, file.path)
      await writeFile(model, bytes)
      await writeFile(join(folder, MANIFEST), text)
      const made = [await asFile(folder, MODEL), await asFile(folder, MANIFEST)]
      return {
        isServable: true,
        served: made,
        made,
        manifest: text,
        signature: await readOnnxSignature(model),
        notices,
      }
    } catch (error) {
      if (!(error instanceof HeadraceError) || error.retry || options.mustServe) throw error
      return unservable(`"${file.path}" cannot be converted: ${error.message.replaceAll(original, file.path)}`)
    }
  }
}

/** The ONNX file, why none can be chosen, or undefined when there is none. */
function chooseModel(
  files: readonly VersionFile[],
  byPath: ReadonlyMap<string, VersionFile>,
  mlModel: MlModel | undefined,
  root: string,
): VersionFile | string | undefined {
  const named = mlModel?.flavors['onnx']?.data
  if (named !== undefined) {
    const file = byPath.get(posix.normalize(posix.join(root, named)))
    return file ?? `MLmodel names "${named}", which was not registered with it`
  }
  const found = files.filter(({ path }) => path.toLowerCase().endsWith('.onnx'))
  if (found.length <= 1) return found[0]
  return (
    found.find(({ path }) => path === MODEL) ??
    found.find(({ path }) => path === posix.join(root, MODEL)) ??
    `it has ${found.length} ONNX files (${found
      .slice(0, 4)
      .map(({ path }) => path)
      .join(', ')}), and a version is one. Call the one to serve model.onnx, at the top.`
  )
}

function nativeCandidates(
  files: readonly VersionFile[],
  byPath: ReadonlyMap<string, VersionFile>,
  mlModel: MlModel | undefined,
  root: string,
): VersionFile[] {
  if (mlModel !== undefined) {
    const data = (mlModel.flavors['xgboost'] ?? mlModel.flavors['lightgbm'])?.data
    const file = data === undefined ? undefined : byPath.get(posix.normalize(posix.join(root, data)))
    return file ? [file] : []
  }
  // Of many files, which one is meant would be a guess.
  if (files.length > 4) return []
  const isManifest = ({ path }: VersionFile) => Number(posix.basename(path) === MANIFEST)
  return files.filter(({ path }) => NATIVE.test(path)).sort((a, b) => isManifest(a) - isManifest(b))
}

function manifestOf(model: VersionFile, byPath: ReadonlyMap<string, VersionFile>): VersionFile | undefined {
  const beside = byPath.get(posix.normalize(posix.join(posix.dirname(model.path), MANIFEST)))
  return beside === model || beside === undefined || beside.sizeBytes > MAX_TEXT_BYTES ? undefined : beside
}

async function textOf({ folder, fetch }: InspectOptions, file: VersionFile): Promise<string> {
  const to = join(folder, '.MLmodel')
  await fetch(file, to)
  return readFile(to, 'utf8')
}

async function asFile(folder: string, name: string): Promise<VersionFile> {
  const path = join(folder, name)
  return { path: relative(folder, path), digest: await fileDigest(path), sizeBytes: (await stat(path)).size }
}
