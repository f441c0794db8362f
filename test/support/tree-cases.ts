// Models that XGBoost and LightGBM trained, with rows and what those libraries predict; test/fixtures/trees/make_trees.py makes them.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface TreeCase {
  readonly name: string
  /** Path of the library's own file. */
  readonly file: string
  readonly bytes: Uint8Array
  readonly rows: readonly Float32Array[]
  /** What the library predicts, a list for each row. */
  readonly predictions: readonly (readonly number[])[]
}

interface CaseFile {
  readonly file: string
  readonly rows: number
  readonly inputs: string
  readonly outputs: string
}

const FOLDER = new URL('../fixtures/trees/', import.meta.url)

export function treeFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, FOLDER)))
}

export function treeCases(): TreeCase[] {
  const names = readdirSync(FOLDER).filter((file) => file.endsWith('.case.json'))
  return names.map((name) => {
    const found = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as CaseFile
    const inputs = new Float32Array(Uint8Array.from(Buffer.from(found.inputs, 'base64')).buffer)
    const outputs = new Float64Array(Uint8Array.from(Buffer.from(found.outputs, 'base64')).buffer)
    return {
      name: name.slice(0, -'.case.json'.length),
      file: fileURLToPath(new URL(found.file, FOLDER)),
      bytes: treeFile(found.file),
      rows: inRows(inputs, found.rows),
      predictions: inRows(outputs, found.rows).map((row) => [...row]),
    }
  })
}

function inRows<T extends Float32Array | Float64Array>(all: T, rows: number): T[] {
  const size = all.length / rows
  return Array.from({ length: rows }, (_, row) => all.subarray(row * size, (row + 1) * size) as T)
}
