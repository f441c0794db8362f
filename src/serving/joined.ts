// Several calls as one run and back: inputs joined row by row, outputs cut where one call ends and the next begins.
import { allocate, concatenateRows, elementCount, sliceRows, type Tensor, type TensorMap } from '../tensor/index.js'
import type { Member } from './member.js'

/**
 * One call's inputs are given as they are, uncopied. `fillRows` rows are added that nobody asked for: the last row again, or zeros
 * (empty strings).
 */
export function joinInputs(inputs: readonly TensorMap[], fillRows: number, repeatsRows: boolean): TensorMap {
  const first = inputs[0]!
  if (inputs.length === 1 && fillRows === 0) return first
  const joined = new Map<string, Tensor>()
  const parts: Tensor[] = new Array(inputs.length)
  for (const name of first.keys()) {
    for (let i = 0; i < inputs.length; i++) parts[i] = inputs[i]!.get(name)!
    if (fillRows > 0) addRows(parts, inputs.length, fillRows, repeatsRows)
    joined.set(name, concatenateRows(parts))
  }
  return joined
}

function addRows(parts: Tensor[], members: number, fillRows: number, repeatsRows: boolean): void {
  const last = parts[members - 1]!
  const row = sliceRows(last, last.shape[0]! - 1, 1)
  const filler = repeatsRows ? row : { ...row, data: allocate(row.datatype, row.data.length) }
  for (let i = 0; i < fillRows; i++) parts[members + i] = filler
}

/** What a run must compute so that each member gets what it asked for; undefined means everything. */
export function unionOutputs(members: readonly Member[]): readonly string[] | undefined {
  const first = members[0]!.input.outputs
  if (first === undefined || members.length === 1) return first
  let union: Set<string> | undefined
  for (let i = 1; i < members.length; i++) {
    const { outputs } = members[i]!.input
    if (outputs === undefined) return undefined
    if (outputs === first) continue
    union ??= new Set(first)
    for (let j = 0; j < outputs.length; j++) union.add(outputs[j]!)
  }
  return union === undefined ? first : [...union]
}

/** The outputs named, in that order; the backend's own map when it has exactly those. */
export function pickOutputs(outputs: TensorMap, names: readonly string[]): TensorMap {
  if (hasExactly(outputs, names)) return outputs
  const picked = new Map<string, Tensor>()
  for (let i = 0; i < names.length; i++) picked.set(names[i]!, outputs.get(names[i]!)!)
  return picked
}

/** A member's rows of the outputs named, as views. */
export function cutOutputs(outputs: TensorMap, names: readonly string[], start: number, rows: number): TensorMap {
  const cut = new Map<string, Tensor>()
  for (let i = 0; i < names.length; i++) cut.set(names[i]!, sliceRows(outputs.get(names[i]!)!, start, rows))
  return cut
}

/** What is wrong with a backend's answer, whatever its rows: an output that is absent, or has not the elements its shape says. */
export function brokenOutput(
  outputs: TensorMap,
  names: readonly string[],
): { output: string; detail: string } | undefined {
  for (let i = 0; i < names.length; i++) {
    const output = names[i]!
    const tensor = outputs.get(output)
    if (tensor === undefined) return { output, detail: 'it is absent' }
    const expected = elementCount(tensor.shape)
    if (tensor.data.length !== expected)
      return { output, detail: `it has ${tensor.data.length} elements where its shape holds ${expected}` }
  }
  return undefined
}

/** The first output whose first size is not the number of rows that went in: such a model cannot be batched. */
export function unbatchedOutput(
  outputs: TensorMap,
  names: readonly string[],
  rows: number,
): { output: string; shape: readonly number[] } | undefined {
  for (let i = 0; i < names.length; i++) {
    const { shape } = outputs.get(names[i]!)!
    if (shape[0] !== rows) return { output: names[i]!, shape }
  }
  return undefined
}

function hasExactly(outputs: TensorMap, names: readonly string[]): boolean {
  if (outputs.size !== names.length) return false
  let i = 0
  for (const name of outputs.keys()) if (name !== names[i++]) return false
  return true
}
