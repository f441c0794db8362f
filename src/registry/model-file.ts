// What a version's model file may be called, and which backend runs it: an ONNX file, a script, or JSON that says which server
// answers (`remote.json`) or which versions do one after the other (`pipeline.json`).
import { basename, extname } from 'node:path'

/** In `<model>/<version>/`; a version has exactly one of them. */
export const MODEL_FILES: readonly string[] = [
  'model.onnx',
  'model.ts',
  'model.mjs',
  'model.js',
  'remote.json',
  'pipeline.json',
]

/** Whether a path names a script, which its extension says. */
export function isScript(file: string): boolean {
  return ['.ts', '.mjs', '.js'].includes(extname(file))
}

/** `remote` or `pipeline` for `remote.json`, `x.remote.json` and the like; undefined for a model of its own. */
export function describedKind(file: string): 'remote' | 'pipeline' | undefined {
  const match = /(?:^|\.)(remote|pipeline)\.json$/.exec(basename(file))
  return match?.[1] as 'remote' | 'pipeline' | undefined
}

export function backendOf(file: string): string {
  return isScript(file) ? 'script' : (describedKind(file) ?? 'onnx')
}

/** Its name in a version's folder. */
export function modelFileFor(file: string): string {
  if (isScript(file)) return `model${extname(file)}`
  const kind = describedKind(file)
  return kind === undefined ? 'model.onnx' : `${kind}.json`
}
