// Whether a model's files are all there, as far as they themselves can tell.
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ForeignFormat, foreignFormat } from './foreign-format.js'
import { describedKind, isScript } from './model-file.js'
import { readOnnxOutline } from './onnx-file.js'

export type Completeness =
  /** `external` are the paths of the files that hold its large tensors. */
  | { readonly kind: 'complete'; readonly external: readonly string[] }
  | ({ readonly kind: 'foreign' } & ForeignFormat)
  | { readonly kind: 'broken'; readonly reason: string }
  /** A file with tensors is not there. */
  | { readonly kind: 'missing'; readonly file: string }

/** Rejects with the file system's error when `model` itself cannot be read. */
export async function completenessOf(model: string): Promise<Completeness> {
  if (describedKind(model) !== undefined) return jsonCompleteness(model)
  const foreign = await foreignFormat(model)
  if (foreign) return { kind: 'foreign', found: foreign.found, remedy: foreign.remedy }
  // A script is one file; whether it can be run is found out where it is run.
  if (isScript(model)) return { kind: 'complete', external: [] }
  const outline = await readOnnxOutline(model)
  if (outline.kind === 'broken') return outline
  const external: string[] = []
  for (const { location, leastBytes } of outline.externalFiles) {
    const file = join(dirname(model), location)
    const sizeBytes = await stat(file).then(
      ({ size }) => size,
      () => undefined,
    )
    if (sizeBytes === undefined) return { kind: 'missing', file }
    if (sizeBytes < leastBytes) {
      return {
        kind: 'broken',
        reason: `its tensors in "${location}" need ${leastBytes} bytes, and it has ${sizeBytes}`,
      }
    }
    external.push(file)
  }
  return { kind: 'complete', external }
}

/** What the JSON must say is its backend's to judge; here it only has to be whole. */
async function jsonCompleteness(model: string): Promise<Completeness> {
  const text = await readFile(model, 'utf8')
  try {
    JSON.parse(text)
    return { kind: 'complete', external: [] }
  } catch (error) {
    return { kind: 'broken', reason: `it is not valid JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
}
