// A script that was evaluated: its terms are checked once, what it answers in each run, because a wrong length or type would
// otherwise reach a caller as the rows of somebody else.
import type { DataType, Signature, TensorSpec } from '../../tensor/index.js'
import type { RawData, RawTensor } from '../onnx/session.js'
import { ELEMENTS } from './elements.js'
import { fail, reasonOf, type ScriptFailure } from './failure.js'
import type { OpenedScript } from './messages.js'

/** A declared tensor. */
interface Spec extends TensorSpec {
  readonly columns: readonly string[] | undefined
  /** Elements in a row; -1 when that varies. */
  readonly rowSize: number
  /** A row's value is the element itself. */
  readonly isScalar: boolean
}

type Row = Readonly<Record<string, unknown>>

export class OpenScript {
  readonly opened: OpenedScript
  readonly #file: string
  readonly #inputs: readonly Spec[]
  readonly #outputs: readonly Spec[]
  /** Whether runs have rows, and so joining and cutting them makes sense. */
  readonly #isBatched: boolean
  readonly #row: ((features: Row) => unknown) | undefined
  readonly #run: ((batch: object) => unknown) | undefined

  /** Throws INVALID. */
  constructor(value: unknown, file: string) {
    this.#file = file
    const terms = objectOf(value, 'its default export', 'Write "export default defineScript({ … })"')
    const unknown = Object.keys(terms).find((key) => !KEYS.includes(key))
    if (unknown !== undefined) throw invalid(`it has the unknown key "${unknown}"; there are ${KEYS.join(', ')}`)
    this.#inputs = specsOf(terms['inputs'], 'inputs')
    this.#outputs = specsOf(terms['outputs'], 'outputs')
    const all = [...this.#inputs, ...this.#outputs]
    this.#isBatched = all.every(({ shape }) => shape[0] === -1)
    this.#row = functionOf(terms['row'], 'row')
    this.#run = functionOf(terms['run'], 'run')
    if ((this.#row === undefined) === (this.#run === undefined))
      throw invalid('it needs one function: either "row", for one row, or "run", for a batch')
    if (this.#row !== undefined) this.#checkRowwise(all)
    const signature: Signature = {
      inputs: this.#inputs.map(bare),
      outputs: this.#outputs.map(bare),
      batchAxis: this.#isBatched ? 0 : null,
    }
    this.opened = { signature, labels: labelsOf(terms['labels']), timeoutMs: timeoutOf(terms['timeoutMs']) }
  }

  /** Throws RUN_FAILED and OUTPUT_INVALID. */
  async run(inputs: readonly RawTensor[], wanted: readonly number[] | undefined): Promise<RawTensor[]> {
    const rows = this.#isBatched ? inputs[0]!.shape[0]! : 1
    const answer = this.#row ? await this.#runRows(inputs, rows) : await this.#runBatch(inputs, rows)
    return wanted === undefined ? answer : wanted.map((index) => answer[index]!)
  }

  async #runRows(inputs: readonly RawTensor[], rows: number): Promise<RawTensor[]> {
    const answers: unknown[] = []
    for (let row = 0; row < rows; row++) {
      try {
        const answer = this.#row!(this.#rowOf(inputs, row, rows))
        answers.push(answer instanceof Promise ? await answer : answer)
      } catch (error) {
        throw this.#runFailed(error)
      }
    }
    return this.#outputs.map((spec) => joinRows(spec, answers))
  }

  async #runBatch(inputs: readonly RawTensor[], rows: number): Promise<RawTensor[]> {
    const named = Object.fromEntries(this.#inputs.map(({ name }, i) => [name, inputs[i]]))
    let answer: unknown
    try {
      answer = await this.#run!({ rows, inputs: named })
    } catch (error) {
      throw this.#runFailed(error)
    }
    return this.#outputs.map((spec) => tensorOf(spec, member(answer, spec.name), rows, this.#isBatched))
  }

  #rowOf(inputs: readonly RawTensor[], row: number, rows: number): Row {
    const features: Record<string, unknown> = {}
    for (let i = 0; i < inputs.length; i++) {
      const spec = this.#inputs[i]!
      const { data } = inputs[i]!
      const { get } = ELEMENTS[spec.datatype]
      if (spec.isScalar) {
        features[spec.name] = get(data, row)
        continue
      }
      const size = data.length / rows
      const values: unknown[] = []
      for (let at = row * size; at < (row + 1) * size; at++) values.push(get(data, at))
      features[spec.name] = spec.columns
        ? Object.fromEntries(spec.columns.map((column, c) => [column, values[c]]))
        : values
    }
    return features
  }

  #checkRowwise(all: readonly Spec[]): void {
    if (!this.#isBatched) throw invalid('"row" needs shapes whose first size is -1, the rows; without rows write "run"')
    const bits = all.find(({ datatype }) => datatype === 'FP16' || datatype === 'BF16')
    if (bits) throw invalid(`"row" cannot have the datatype ${bits.datatype} of "${bits.name}"; write "run"`)
    const open = this.#outputs.find(({ rowSize }) => rowSize === -1)
    if (open) throw invalid(`"row" needs to know the size of its output "${open.name}"; give it, or write "run"`)
  }

  #runFailed(error: unknown): ScriptFailure {
    return fail('RUN_FAILED', { reason: reasonOf(error, this.#file) })
  }
}

const KEYS = ['inputs', 'outputs', 'labels', 'timeoutMs', 'row', 'run']

/** One output of every row's answer as a tensor. */
function joinRows({ name, datatype, shape, rowSize, isScalar }: Spec, answers: readonly unknown[]): RawTensor {
  const { create, set, expected } = ELEMENTS[datatype]
  const data = create(answers.length * rowSize)
  for (let row = 0; row < answers.length; row++) {
    const value = member(answers[row], name)
    const values = isScalar && !isList(value) ? [value] : value
    if (!isList(values) || values.length !== rowSize)
      throw wrong(name, `${rowSize} values are needed for a row, not ${textOf(value)}`)
    for (let i = 0; i < rowSize; i++)
      if (!set(data, row * rowSize + i, values[i])) throw wrong(name, `${expected} is needed, not ${textOf(values[i])}`)
  }
  return { shape: [answers.length, ...shape.slice(1)], data }
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
}

/** What `run` answered for one output: elements, or a shape and elements. */
function tensorOf(spec: Spec, value: unknown, rows: number, isBatched: boolean): RawTensor {
  const { name, datatype, rowSize } = spec
  const isTensor = typeof value === 'object' && value !== null && 'shape' in value && 'data' in value
  const data = isTensor ? value.data : value
  if (!ELEMENTS[datatype].owns(data)) throw wrong(name, `an array for ${datatype} is needed, not ${textOf(data)}`)
  const raw = data as RawData
  if (!isTensor && rowSize === -1) throw wrong(name, 'it needs a shape too: { shape, data }')
  const shape = isTensor
    ? shapeOf(value.shape, spec)
    : [...(isBatched ? [rows] : []), ...spec.shape.slice(isBatched ? 1 : 0)]
  const size = shape.reduce((product, axis) => product * axis, 1)
  if (raw.length !== size) throw wrong(name, `${size} elements are needed for its shape [${shape}], not ${raw.length}`)
  if (isBatched && shape[0] !== rows) throw wrong(name, `${rows} rows are needed, not ${shape[0]}`)
  return { shape, data: raw }
}

function shapeOf(value: unknown, { name, shape }: Spec): number[] {
  const fits =
    Array.isArray(value) &&
    value.length === shape.length &&
    value.every((size, i) => Number.isSafeInteger(size) && size >= 0 && (shape[i] === -1 || shape[i] === size))
  if (!fits) throw wrong(name, `its shape ${textOf(value)} does not fit [${shape}]`)
  return value as number[]
}

function member(answer: unknown, name: string): unknown {
  if (typeof answer !== 'object' || answer === null)
    throw wrong(name, `an object with an entry for each output is needed, not ${textOf(answer)}`)
  return (answer as Row)[name]
}

function specsOf(value: unknown, side: 'inputs' | 'outputs'): Spec[] {
  const entries = Object.entries(objectOf(value, `"${side}"`, 'Name its tensors, as in { amount: "FP32" }'))
  if (entries.length === 0) throw invalid(`"${side}" names no tensor`)
  return entries.map(([name, given]) => specOf(name, given))
}

function specOf(name: string, given: unknown): Spec {
  const terms = typeof given === 'string' ? { datatype: given, shape: [-1] } : objectOf(given, `"${name}"`, EXAMPLE)
  const { datatype, shape, columns } = terms as { readonly [K in 'datatype' | 'shape' | 'columns']?: unknown }
  if (typeof datatype !== 'string' || !Object.hasOwn(ELEMENTS, datatype))
    throw invalid(`"${name}" has the datatype ${textOf(datatype)}; there are ${Object.keys(ELEMENTS).join(', ')}`)
  const isShape = Array.isArray(shape) && shape.every((size) => size === -1 || (Number.isSafeInteger(size) && size > 0))
  if (!isShape) throw invalid(`"${name}" has the shape ${textOf(shape)}; ${EXAMPLE}`)
  const sizes = shape as number[]
  const inner = sizes.slice(1)
  const rowSize = inner.includes(-1) ? -1 : inner.reduce((product, size) => product * size, 1)
  const names = columns === undefined ? undefined : namesOf(columns, `the columns of "${name}"`)
  if (names && (sizes.length !== 2 || sizes[1] !== names.length))
    throw invalid(`"${name}" has ${names.length} columns, so its shape must be [-1, ${names.length}], not [${sizes}]`)
  const isScalar = names === undefined && (sizes.length === 1 || (sizes.length === 2 && sizes[1] === 1))
  return { name, datatype: datatype as DataType, shape: sizes, columns: names, rowSize, isScalar }
}

const EXAMPLE = 'a tensor is a datatype, as in "FP32", or as in { datatype: "FP32", shape: [-1, 2] }'

function bare({ name, datatype, shape }: Spec): TensorSpec {
  return { name, datatype, shape }
}

function labelsOf(value: unknown): readonly string[] | undefined {
  return value === undefined ? undefined : namesOf(value, '"labels"')
}

function namesOf(value: unknown, what: string): readonly string[] {
  if (Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string' && name !== ''))
    return [...(value as string[])]
  throw invalid(`${what} must be a list of names, not ${textOf(value)}`)
}

function timeoutOf(value: unknown): number | undefined {
  if (value === undefined || (typeof value === 'number' && value >= 1 && value < 2 ** 31)) return value
  throw invalid(`"timeoutMs" must be a number of milliseconds, at least 1, not ${textOf(value)}`)
}

function functionOf<F>(value: unknown, name: string): F | undefined {
  if (value === undefined || typeof value === 'function') return value as F | undefined
  throw invalid(`"${name}" must be a function, not ${textOf(value)}`)
}

function objectOf(value: unknown, what: string, remedy: string): Row {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row
  throw invalid(`${what} is ${textOf(value)}. ${remedy}`)
}

function textOf(value: unknown): string {
  if (typeof value === 'bigint' || typeof value === 'function') return `a ${typeof value}`
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${(value as Uint8Array).length})`
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}

function invalid(reason: string): ScriptFailure {
  return fail('INVALID', { reason })
}

function wrong(output: string, problem: string): ScriptFailure {
  return fail('OUTPUT_INVALID', { output, problem })
}
