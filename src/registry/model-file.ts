// What a version's model file may be called, and which backend runs it: `model.onnx`, or a script.
import { extname } from 'node:path'

/** In `<model>/<version>/`; a version has exactly one of them. */
export const MODEL_FILES: readonly string[] = ['model.onnx', 'model.ts', 'model.mjs', 'model.js']

/** Whether a path names a script, which its extension says. */
export function isScript(file: string): boolean {
  return ['.ts', '.mjs', '.js'].includes(extname(file))
}

export function backendOf(file: string): string {
  return isScript(file) ? 'script' : 'onnx'
}

/** Its name in a version's folder. */
export function modelFileFor(file: string): string {
  return isScript(file) ? `model${extname(file)}` : 'model.onnx'
}
