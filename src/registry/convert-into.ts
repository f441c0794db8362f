// The files of a version that is made from another library's: the ONNX, a model.json that says what the original says of itself
// and what the person who pushes says, and the original, which is kept so that its digest can be checked.
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelConverter, NativeFormat } from '../formats/index.js'
import { expectFile, manifestBeside, type VersionFiles } from './artifact.js'
import { firstBytes } from './foreign-format.js'
import { readManifest } from './manifest.js'

export interface ConvertedFiles {
  readonly files: VersionFiles & { readonly original: string }
  readonly notices: readonly string[]
}

/** Throws REGISTRY_FILE_NOT_FOUND, REGISTRY_MANIFEST_INVALID and what `convert` throws. */
export async function convertInto(
  folder: string,
  { file, manifest }: { readonly file: string; readonly manifest?: string },
  format: NativeFormat,
  convert: ModelConverter,
): Promise<ConvertedFiles> {
  if (manifest !== undefined) await expectFile(manifest)
  const given = manifest ?? (await manifestBeside(file))
  // Before the conversion, which takes longer.
  const own = given === undefined ? {} : await readOwn(given)
  const converted = await convert(file)
  const original = join(folder, `source.${await extensionOf(file, format)}`)
  const files = { model: join(folder, 'model.onnx'), manifest: join(folder, 'model.json'), external: [], original }
  const told = { ...converted.manifest, ...own, convertedFrom: converted.manifest['convertedFrom'] }
  const text = `${JSON.stringify({ ...told, outputs: { ...objectOf(converted.manifest), ...objectOf(own) } }, null, 2)}\n`
  readManifest(text, given ?? file)
  await writeFile(files.model, converted.bytes)
  await writeFile(files.manifest, text)
  await copyFile(file, original)
  return { files, notices: converted.notices }
}

async function readOwn(file: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(file, 'utf8')
  readManifest(text, file)
  return JSON.parse(text.replace(/^\uFEFF/, '')) as Record<string, unknown>
}

function objectOf(manifest: Readonly<Record<string, unknown>>): object {
  return (manifest['outputs'] as object | undefined) ?? {}
}

async function extensionOf(file: string, format: NativeFormat): Promise<string> {
  if (format === 'lightgbm') return 'txt'
  const start = await firstBytes(file, 2)
  // UBJSON goes on with the length of a key.
  return 'iUIlL'.includes(String.fromCharCode(start[1] ?? 0)) ? 'ubj' : 'json'
}
