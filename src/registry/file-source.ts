// One ONNX file as one version of one model, for `headrace serve path/to/model.onnx`. The file is not watched: start again
// to serve another content.
import { basename, dirname, extname, resolve } from 'node:path'
import { type ModelName, type Platform, parseModelName, versionKey } from '../core/index.js'
import { type Content, contentDifference, findFiles, loadArtifact } from './artifact.js'
import { RegistryErrors } from './errors.js'
import { parseVersion } from './folder-look.js'
import type { ModelSource } from './types.js'

export interface FileSourceOptions {
  /** The ONNX file; `<base>.json` or `model.json` beside it is its manifest. */
  readonly file: string
  readonly platform: Platform
}

/** `list` throws REGISTRY_FILE_NOT_FOUND and REGISTRY_NOT_ONNX, so that a wrong path stops the start. */
export function createFileSource({ file, platform }: FileSourceOptions): ModelSource {
  const ref = refOf(resolve(file))
  let content: Content | undefined
  return {
    async settle() {},
    async list() {
      await findFiles(file)
      return [ref]
    },
    async get(wanted) {
      if (versionKey(wanted) !== versionKey(ref)) {
        throw RegistryErrors.VERSION_NOT_FOUND({ ...wanted, reason: `"${file}" is served as ${versionKey(ref)}` })
      }
      const loaded = await loadArtifact(ref, await findFiles(file))
      const difference = content && contentDifference(content, loaded.content)
      if (difference) throw RegistryErrors.DIGEST_CHANGED({ ...ref, difference })
      content = loaded.content
      return loaded.artifact
    },
    watch() {
      platform.logger.debug({ file }, 'a single model file is not watched for changes')
      return () => undefined
    },
  }
}

/** `…/fraud/2/model.onnx` is version 2 of "fraud"; any other file is version 1 of the model its own name gives. */
function refOf(file: string): { model: ModelName; version: number } {
  const base = basename(file, extname(file))
  if (base !== 'model') return { model: nameFrom(base), version: 1 }
  const version = parseVersion(basename(dirname(file)))
  const model = parseModelName(basename(dirname(dirname(file))))
  return version !== undefined && model !== undefined ? { model, version } : { model: nameFrom(base), version: 1 }
}

/** The nearest valid name: `Fraud model (v2)` gives `Fraud-model-v2`. */
function nameFrom(text: string): ModelName {
  const name = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[._-]+|[._-]+$/g, '')
    .slice(0, 128)
  return parseModelName(name) ?? ('model' as ModelName)
}
