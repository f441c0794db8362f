// The first runs of a version, in its loading thread: they prove that it runs, that rows can be joined as the graph claims,
// and how long the smallest and the largest batch take. Rows that mix, or an output that is not one row per row of input, would
// hand one caller's answer to another, so a claim that these runs do not confirm is dropped.
import { performance } from 'node:perf_hooks'
import type { DataType, FeatureRow, ModelManifest, Signature, TensorSpec } from '../../tensor/index.js'
import { widenBf16 } from './bf16.js'
import { fail, OnnxFailure, reasonOf } from './failure.js'
import type { PreparedModel } from './prepare-model.js'
import type { GraphValue } from './read-graph.js'
import type { OnnxSession, RawData, RawTensor } from './session.js'

export interface ProbeOptions {
  /** Rows of the largest batch the batcher will make; at least 2 are run, to see whether rows can be joined. */
  readonly maxBatchSize: number
  readonly features: ModelManifest['features']
  readonly outputs: ModelManifest['outputs']
  /** Real rows, when the manifest has some; zeros otherwise. */
  readonly warmup: readonly FeatureRow[]
}

export interface Probe {
  readonly signature: Signature
  /** Why `batchAxis` is null. */
  readonly notBatchedBecause: string | undefined
  /** Undefined when no made-up input could be run. */
  readonly batch1Ms: number | undefined
  readonly largestBatchMs: number | undefined
}

/** Makes the inputs of a run with so many rows. */
type MakeInputs = (rows: number) => RawTensor[]

/** Runs that worked: one row, and several rows unless they were not tried or failed. */
interface FirstRuns {
  readonly alone: { readonly inputs: RawTensor[]; readonly outputs: RawTensor[] }
  readonly joined: { readonly inputs: RawTensor[]; readonly outputs: RawTensor[] } | undefined
  readonly joinedFailed: string | undefined
}

/** Throws RANK_UNKNOWN, when an output's dimensions are neither declared nor seen. */
export async function probe(session: OnnxSession, model: PreparedModel, options: ProbeOptions): Promise<Probe> {
  const rows = model.notBatchedBecause === undefined ? Math.max(2, options.maxBatchSize) : 1
  const runs = await firstRuns(session, await inputMakers(model, options), rows)
  if (!runs) {
    const notBatchedBecause =
      model.notBatchedBecause ?? 'every test run failed, so joining rows is unproven; add "warmup" rows to model.json'
    return { signature: signature(model, null), notBatchedBecause, batch1Ms: undefined, largestBatchMs: undefined }
  }
  const { alone, joined } = runs
  const notBatchedBecause = model.notBatchedBecause ?? runs.joinedFailed ?? whyNotJoined(model, runs, rows)
  const batch1Ms = await medianMs(session, alone.inputs)
  return {
    signature: signature(model, notBatchedBecause === undefined ? 0 : null, alone.outputs),
    notBatchedBecause,
    batch1Ms,
    largestBatchMs: joined ? await medianMs(session, joined.inputs) : batch1Ms,
  }
}

async function firstRuns(session: OnnxSession, makers: MakeInputs[], rows: number): Promise<FirstRuns | undefined> {
  let onlyAlone: FirstRuns | undefined
  for (const make of makers) {
    const alone = await tryRun(session, make(1))
    if (typeof alone === 'string') continue
    if (rows === 1) return { alone, joined: undefined, joinedFailed: undefined }
    const joined = await tryRun(session, make(rows))
    if (typeof joined !== 'string') return { alone, joined, joinedFailed: undefined }
    onlyAlone ??= { alone, joined: undefined, joinedFailed: `a test run with ${rows} rows failed: ${joined}` }
  }
  return onlyAlone
}

/** Why it failed, as text: this guess at an input may not suit the model where another does. */
async function tryRun(session: OnnxSession, inputs: RawTensor[]): Promise<FirstRuns['alone'] | string> {
  try {
    return { inputs, outputs: await session.run(inputs) }
  } catch (error) {
    if (error instanceof OnnxFailure && 'reason' in error.failure.params) return error.failure.params.reason
    return reasonOf(error)
  }
}

async function inputMakers(model: PreparedModel, options: ProbeOptions): Promise<MakeInputs[]> {
  const { inputs } = model.values
  const makers: MakeInputs[] = []
  if (options.warmup.length > 0) makers.push(await fromRows(model, options))
  const isFree = inputs.some(({ shape }) => shape!.slice(1).includes(-1))
  for (const size of isFree ? FREE_SIZES : [1]) {
    const elements = inputs.map(({ shape }) => madeShape(shape!, 1, size).reduce((product, n) => product * n, 1))
    if (elements.some((count) => count > MAX_MADE_UP_ELEMENTS)) continue
    makers.push(
      (rows) => inputs.map((value) => madeUp(value, rows, size, true)),
      (rows) => inputs.map((value) => madeUp(value, rows, size, false)),
    )
  }
  return makers
}

/** Sizes tried for axes other than the batch that the graph leaves open: a token, a short text, an image. */
const FREE_SIZES = [1, 16, 224]
const MAX_MADE_UP_ELEMENTS = 1_000_000

async function fromRows(model: PreparedModel, options: ProbeOptions): Promise<MakeInputs> {
  // Loaded here because few versions have such rows and every thread would pay for it.
  const { describeRows, rowsToTensors } = await import('../../tensor/index.js')
  const schema = describeRows(signature(model, 0), options, model.labels)
  return (rows) => {
    const tensors = rowsToTensors(
      Array.from({ length: rows }, (_, i) => options.warmup[i % options.warmup.length]!),
      schema,
    )
    return model.values.inputs.map(({ name }) => {
      const { shape, data } = tensors.get(name)!
      return { shape, data: Array.isArray(data) ? data.map(String) : data }
    })
  }
}

/** Zeros in even rows, ones in odd rows, so that rows that mix show; or only zeros, for models where a one is out of range. */
function madeUp({ datatype, shape }: GraphValue, rows: number, size: number, withOnes: boolean): RawTensor {
  const made = madeShape(shape!, rows, size)
  const length = made.reduce((product, n) => product * n, 1)
  const data = ZEROS[datatype](length)
  if (withOnes && shape![0] === -1) {
    const rowLength = length / rows
    for (let row = 1; row < rows; row += 2) fillOnes(datatype, data, row * rowLength, (row + 1) * rowLength)
  }
  return { shape: made, data }
}

function fillOnes(datatype: DataType, data: RawData, from: number, to: number): void {
  if (Array.isArray(data)) data.fill('1', from, to)
  else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(1n, from, to)
  else data.fill(datatype === 'FP16' ? 0x3c00 : datatype === 'BF16' ? 0x3f80 : 1, from, to)
}

function madeShape(shape: readonly number[], rows: number, size: number): number[] {
  return shape.map((n, axis) => (n !== -1 ? n : axis === 0 ? rows : size))
}

const ZEROS: { readonly [D in DataType]: (length: number) => RawData } = {
  BOOL: (length) => new Uint8Array(length),
  UINT8: (length) => new Uint8Array(length),
  UINT16: (length) => new Uint16Array(length),
  UINT32: (length) => new Uint32Array(length),
  UINT64: (length) => new BigUint64Array(length),
  INT8: (length) => new Int8Array(length),
  INT16: (length) => new Int16Array(length),
  INT32: (length) => new Int32Array(length),
  INT64: (length) => new BigInt64Array(length),
  FP16: (length) => new Uint16Array(length),
  BF16: (length) => new Uint16Array(length),
  FP32: (length) => new Float32Array(length),
  FP64: (length) => new Float64Array(length),
  BYTES: (length) => new Array<string>(length).fill('0'),
}

function whyNotJoined({ values }: PreparedModel, { alone, joined }: FirstRuns, rows: number): string | undefined {
  if (!joined) return undefined
  return (
    whyNotRowWise(values.outputs, alone.outputs, 1) ??
    whyNotRowWise(values.outputs, joined.outputs, rows) ??
    whyRowsMix(values.outputs, alone.outputs, joined.outputs)
  )
}

function whyNotRowWise(values: readonly GraphValue[], outputs: readonly RawTensor[], rows: number): string | undefined {
  for (let i = 0; i < values.length; i++) {
    const shape = outputs[i]!.shape
    if (shape[0] !== rows) return `the output "${values[i]!.name}" had the shape [${shape}] for ${rows} rows`
  }
  return undefined
}

/** The first row alone and the first row in company must agree, but for what rounding does. FP16 outputs are taken on trust. */
function whyRowsMix(
  values: readonly GraphValue[],
  alone: readonly RawTensor[],
  joined: readonly RawTensor[],
): string | undefined {
  for (let i = 0; i < values.length; i++) {
    const { datatype, name } = values[i]!
    if (datatype === 'FP16') continue
    const one = alone[i]!.data
    const many = joined[i]!.data
    for (let j = 0; j < one.length; j++) {
      if (!isClose(asNumber(datatype, one[j]!), asNumber(datatype, many[j]!))) {
        return `the output "${name}" of a row changes with the rows beside it`
      }
    }
  }
  return undefined
}

/** Dynamic quantization takes its scale from the whole batch, so honest models differ by a few per cent. */
const MIXING_TOLERANCE = 0.1

function isClose(a: number | string, b: number | string): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b
  return Object.is(a, b) || Math.abs(a - b) <= MIXING_TOLERANCE * Math.max(Math.abs(a), Math.abs(b)) + 1e-3
}

function asNumber(datatype: DataType, element: number | bigint | string): number | string {
  if (typeof element === 'string') return element
  if (datatype === 'BF16') return widenBf16(Uint16Array.of(Number(element)))[0]!
  return Number(element)
}

async function medianMs(session: OnnxSession, inputs: readonly RawTensor[]): Promise<number> {
  const times: number[] = []
  let spentMs = 0
  while (times.length < 5 && spentMs < 100) {
    const start = performance.now()
    await session.run(inputs)
    times.push(performance.now() - start)
    spentMs += times.at(-1)!
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!
}

function signature(model: PreparedModel, batchAxis: 0 | null, seen?: readonly RawTensor[]): Signature {
  const { inputs, outputs } = model.values
  return {
    batchAxis,
    inputs: inputs.map(({ name, datatype, shape }): TensorSpec => ({ name, datatype, shape: shape! })),
    outputs: outputs.map(({ name, datatype, shape }, i): TensorSpec => {
      return { name, datatype, shape: outputShape(name, shape, seen?.[i]?.shape, batchAxis === 0) }
    }),
  }
}

/** The declared shape, except where a run proved it wrong. */
function outputShape(
  name: string,
  declared: readonly number[] | undefined,
  seen: readonly number[] | undefined,
  isBatched: boolean,
): readonly number[] {
  if (!seen) {
    if (!declared) throw fail('RANK_UNKNOWN', { side: 'output', value: name })
    return declared
  }
  return seen.map((size, axis) => {
    if (axis === 0 && isBatched) return -1
    return declared?.length === seen.length && declared[axis] === size ? size : -1
  })
}
