// Requests to the shop's models in each protocol, from rows of named features.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Row = Readonly<Record<string, string | number>>

export interface Parity {
  readonly model: string
  readonly version: number
  readonly tolerance: number
  readonly rows: readonly Row[]
  readonly label: readonly number[]
  readonly probabilities: readonly (readonly number[])[]
}

const ROOT = join(import.meta.dirname, '../..')

export function parity(name: string): Parity {
  return JSON.parse(readFileSync(join(ROOT, 'test/fixtures/parity', `${name}.json`), 'utf8')) as Parity
}

/** Versions that are given features of the store: they are of use only where the shop's features are. */
export const FEATURE_VERSIONS = ['fraud/3', 'purchase-intent/2'] as const

export const PARITY_NAMES = ['fraud-1', 'fraud-2', 'purchase-intent-1', 'breast-cancer-1', 'product-ranking-1'] as const

/** A payment, a session; any row of theirs will do for tests that are about something else. */
export const PAYMENT: Row = parity('fraud-1').rows[0]!
export const SESSION: Row = parity('purchase-intent-1').rows[0]!

interface TensorMetadata {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
}

/** Rows as the inputs of an infer request, by the metadata that the server gave. */
export function inferInputs(rows: readonly Row[], inputs: readonly TensorMetadata[]): object[] {
  const [first] = inputs
  if (inputs.length === 1 && first !== undefined && !(first.name in rows[0]!)) {
    const names = Object.keys(rows[0]!)
    const data = rows.flatMap((row) => names.map((name) => row[name]))
    return [{ name: first.name, datatype: first.datatype, shape: [rows.length, names.length], data }]
  }
  return inputs.map(({ name, datatype }) => ({
    name,
    datatype,
    shape: [rows.length, 1],
    data: rows.map((row) => row[name]),
  }))
}

/** A session as an infer request, of which tests break one thing at a time. */
export function sessionRequest(): { inputs: { name: string; datatype: string; shape: unknown; data: unknown }[] } {
  return {
    inputs: [{ name: INPUT, datatype: 'FP32', shape: [1, 10], data: Object.values(SESSION) }],
  }
}

/** The one input of purchase-intent. */
export const INPUT = 'features'
