// Inputs for a model's first runs, when nobody has called it yet: rows from its manifest, or else zeros and ones.
import type { DataType, FeatureRow, ModelManifest } from '../../tensor/index.js'
import type { PreparedModel } from './prepare-model.js'
import type { GraphValue } from './read-graph.js'
import type { RawData, RawTensor } from './session.js'

/** Makes the inputs of a run with so many rows; may throw when rows of the manifest do not fit. */
export type MakeInputs = (rows: number) => RawTensor[]

export interface GivenRows {
  readonly features: ModelManifest['features']
  /** Rows of the manifest; none is common. */
  readonly warmup: readonly FeatureRow[]
}

/** Ways to make inputs, the likeliest to suit the model first. */
export async function inputMakers({ values }: PreparedModel, given: GivenRows): Promise<MakeInputs[]> {
  const { inputs } = values
  const makers: MakeInputs[] = []
  if (given.warmup.length > 0) makers.push(await fromRows(inputs, given))
  const isFree = inputs.some(({ shape }) => shape!.slice(1).includes(-1))
  for (const size of isFree ? FREE_SIZES : [1]) {
    if (size > 1 && inputs.some((value) => rowElements(value, size) * 2 > MAX_ELEMENTS)) continue
    makers.push(
      (rows) => inputs.map((value) => madeUp(value, rows, size, true)),
      (rows) => inputs.map((value) => madeUp(value, rows, size, false)),
    )
  }
  return makers
}

/** As many rows as the batcher joins, at least 2, but no more than can be made up cheaply. */
export function largestRows({ values }: PreparedModel, maxBatchSize: number): number {
  const elements = Math.max(...values.inputs.map((value) => rowElements(value, 1)))
  return Math.max(2, Math.min(maxBatchSize, Math.floor(MAX_ELEMENTS / elements)))
}

/** Sizes tried for axes other than the batch that the graph leaves open: a token, a short text, an image. */
const FREE_SIZES = [1, 16, 224]
const MAX_ELEMENTS = 8_000_000

async function fromRows(inputs: readonly GraphValue[], { features, warmup }: GivenRows): Promise<MakeInputs> {
  // Imported here because few versions have such rows and every thread would pay for it.
  const { describeRows, rowsToTensors } = await import('../../tensor/index.js')
  const specs = inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape! }))
  return (rows) => {
    const schema = describeRows({ inputs: specs, outputs: [], batchAxis: 0 }, { features, outputs: {} }, undefined)
    const tensors = rowsToTensors(
      Array.from({ length: rows }, (_, i) => warmup[i % warmup.length]!),
      schema,
    )
    return specs.map(({ name }) => {
      const { shape, data } = tensors.get(name)!
      return { shape, data: Array.isArray(data) ? data.map(String) : data }
    })
  }
}

/** Zeros in even rows, ones in odd rows, so that rows that mix show; or only zeros, for models where a one is out of range. */
function madeUp({ datatype, shape }: GraphValue, rows: number, size: number, withOnes: boolean): RawTensor {
  const made = madeShape(shape!, rows, size)
  const length = elementCount(made)
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

function rowElements({ shape }: GraphValue, size: number): number {
  return elementCount(madeShape(shape!, 1, size))
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
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
