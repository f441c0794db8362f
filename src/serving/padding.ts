// Calls of different lengths in one run: inputs are made as long as the longest, outputs are cut back to each call's own length.
// A model has one length per call; all inputs that the rules name share it. Lengths of which one is more than twice another do not
// run together: the longer one would decide what the shorter one costs.
import {
  allocate,
  type BatchingOptions,
  type DataType,
  elementCount,
  numberToBfloat16,
  numberToFloat16,
  type PaddingRules,
  type Signature,
  sliceRows,
  type Tensor,
  type TensorData,
  type TensorMap,
  type TensorSpec,
} from '../tensor/index.js'
import { ServingErrors } from './errors.js'

/** An input that is made longer. */
interface PaddedInput {
  readonly name: string
  readonly axis: number
  readonly filler: number | bigint
}

/** What callers of a version send: its signature, but for inputs that its padding rules fill in. */
export function callerSignature(model: string, batching: BatchingOptions, signature: Signature): Signature {
  const { padding, enabled } = batching
  return padding === undefined || !enabled ? signature : new Padding(model, padding, signature).signature
}

export class Padding {
  readonly #signature: Signature
  readonly #multipleOf: number
  readonly #inputs: readonly PaddedInput[]
  readonly #mask: TensorSpec | undefined
  readonly #lengths: TensorSpec | undefined
  readonly #rules: PaddingRules

  /** Throws SERVING_PADDING_INVALID when the rules do not fit the signature. */
  constructor(model: string, rules: PaddingRules, signature: Signature) {
    const refuse = (detail: string) => ServingErrors.PADDING_INVALID({ model, detail })
    const specOf = (name: string): TensorSpec => {
      const spec = signature.inputs.find((input) => input.name === name)
      if (spec === undefined) throw refuse(`the model has no input "${name}"`)
      return spec
    }
    if (signature.batchAxis === null) throw refuse('its rows cannot be joined')
    this.#rules = rules
    this.#signature = signature
    this.#multipleOf = rules.multipleOf
    this.#mask = rules.mask === undefined ? undefined : specOf(rules.mask)
    this.#lengths = rules.lengths === undefined ? undefined : specOf(rules.lengths)
    const inputs = { ...rules.inputs }
    if (this.#mask !== undefined) inputs[this.#mask.name] ??= { axis: 1, value: 0 }
    this.#inputs = Object.entries(inputs).map(([name, { axis, value }]) => {
      const { shape, datatype } = specOf(name)
      if (shape[axis] !== -1) throw refuse(`axis ${axis} of "${name}" is not open, its shape is [${shape.join(', ')}]`)
      return { name, axis, filler: elementOf(datatype, value) }
    })
    if (this.#inputs.every(({ name }) => name === rules.mask)) throw refuse('"inputs" names no input with a length')
    if (this.#mask !== undefined && this.#mask.shape.length !== 2)
      throw refuse(`the mask "${rules.mask}" has not the shape [rows, length]`)
    if (this.#lengths !== undefined && elementCount(this.#lengths.shape.map((size) => Math.abs(size))) !== 1)
      throw refuse(`"${rules.lengths}" has not the shape [rows] or [rows, 1]`)
    for (const name of Object.keys(rules.outputs))
      if (!signature.outputs.some((output) => output.name === name)) throw refuse(`the model has no output "${name}"`)
  }

  /** What callers see: the mask and the lengths may be left out. */
  get signature(): Signature {
    const inputs = this.#signature.inputs.map((spec) =>
      spec === this.#mask || spec === this.#lengths ? { ...spec, isOptional: true } : spec,
    )
    return { ...this.#signature, inputs }
  }

  isPadded(input: string, axis: number): boolean {
    return this.#inputs.some((one) => one.name === input && one.axis === axis)
  }

  /** The inputs of a call with what it may leave out. They fit the signature that callers see. */
  complete(tensors: TensorMap): TensorMap {
    const makesMask = this.#mask !== undefined && !tensors.has(this.#mask.name)
    const makesLengths = this.#lengths !== undefined && !tensors.has(this.#lengths.name)
    const length = this.#lengthIn(tensors)
    if (!makesMask && !makesLengths) return tensors
    const rows = tensors.values().next().value!.shape[0]!
    const complete = new Map(tensors)
    if (makesMask) complete.set(this.#mask!.name, filled(this.#mask!, [rows, length], 1))
    if (makesLengths) {
      const shape = this.#lengths!.shape.map((_, axis) => (axis === 0 ? rows : 1))
      complete.set(this.#lengths!.name, filled(this.#lengths!, shape, length))
    }
    return complete
  }

  /** Throws SERVING_LENGTHS_DIFFER. */
  #lengthIn(tensors: TensorMap): number {
    let first: PaddedInput | undefined
    let length = 0
    for (const input of this.#inputs) {
      const size = tensors.get(input.name)?.shape[input.axis]
      if (size === undefined) continue
      if (first === undefined) {
        first = input
        length = size
      } else if (size !== length)
        throw ServingErrors.LENGTHS_DIFFER({ first: first.name, length, input: input.name, arrived: size })
    }
    return length
  }

  /** The length of a call whose inputs are complete. */
  lengthOf(tensors: TensorMap): number {
    const { name, axis } = this.#inputs[0]!
    return tensors.get(name)!.shape[axis]!
  }

  /** What calls of this length are run at, at least. */
  roundUp(length: number): number {
    return Math.ceil(length / this.#multipleOf) * this.#multipleOf
  }

  /** Calls whose lengths have the same class may run together. */
  lengthClass(length: number): number {
    return Math.ceil(Math.log2(Math.max(1, Math.ceil(length / this.#multipleOf))))
  }

  /** Inputs of one call, as long as `length`. */
  stretch(tensors: TensorMap, length: number): TensorMap {
    if (this.lengthOf(tensors) === length) return tensors
    const stretched = new Map(tensors)
    for (const { name, axis, filler } of this.#inputs)
      stretched.set(name, resized(tensors.get(name)!, axis, length, filler))
    return stretched
  }

  /** Rows of the outputs named, `own` long, from a run that was `length` long. Throws SERVING_OUTPUT_MISMATCH's detail as an Error. */
  cut(
    outputs: TensorMap,
    names: readonly string[],
    start: number,
    rows: number,
    length: number,
    own: number,
  ): TensorMap {
    const cut = new Map<string, Tensor>()
    for (const name of names) {
      let tensor = sliceRows(outputs.get(name)!, start, rows)
      if (own < length)
        for (const axis of this.#axesOf(name, tensor.shape, length)) tensor = resized(tensor, axis, own, 0)
      cut.set(name, tensor)
    }
    return cut
  }

  /** The axes of an output that are as long as the inputs. */
  #axesOf(name: string, shape: readonly number[], length: number): number[] {
    const rule = this.#rules.outputs[name]
    if (rule === null) return []
    const declared = this.#signature.outputs.find((spec) => spec.name === name)!.shape
    const axes = rule === undefined ? declared.flatMap((size, axis) => (axis > 0 && size === -1 ? [axis] : [])) : [rule]
    for (const axis of axes)
      if (shape[axis] !== length)
        throw new Error(
          `output "${name}" has the size ${shape[axis]} on axis ${axis} where its inputs were padded to ${length}; say in batching.padding.outputs which axis has the length, or null`,
        )
    return axes
  }
}

/** The tensor with another size on one axis: cut off, or filled up at the end. */
function resized(tensor: Tensor, axis: number, size: number, filler: number | bigint): Tensor {
  const { name, datatype, shape, data } = tensor
  const inner = elementCount(shape.slice(axis + 1))
  const outer = elementCount(shape.slice(0, axis))
  const from = shape[axis]! * inner
  const to = size * inner
  const kept = Math.min(from, to)
  const result = allocate(datatype, outer * to)
  if (to > from && filler !== 0 && filler !== 0n) fill(result, filler)
  for (let i = 0; i < outer; i++) {
    if (Array.isArray(result)) for (let j = 0; j < kept; j++) result[i * to + j] = (data as Buffer[])[i * from + j]!
    // Both are the same kind of typed array; Float32Array stands for all of them.
    else (result as Float32Array).set((data as Float32Array).subarray(i * from, i * from + kept), i * to)
  }
  return { name, datatype, shape: shape.map((old, i) => (i === axis ? size : old)), data: result }
}

function filled({ name, datatype }: TensorSpec, shape: number[], value: number): Tensor {
  const data = allocate(datatype, elementCount(shape))
  fill(data, elementOf(datatype, value))
  return { name, datatype, shape, data }
}

function fill(data: TensorData, value: number | bigint): void {
  if (typeof value === 'bigint') (data as BigInt64Array).fill(value)
  else if (!Array.isArray(data)) (data as Float32Array).fill(value)
}

/** A number as an element of an array of this datatype; text is only ever filled with empty text. */
function elementOf(datatype: DataType, value: number): number | bigint {
  if (datatype === 'INT64' || datatype === 'UINT64') return BigInt(value)
  if (datatype === 'FP16') return numberToFloat16(value)
  if (datatype === 'BF16') return numberToBfloat16(value)
  return value
}
