// The first runs of a version, in its loading thread: they prove that it runs, that rows can be joined as the graph claims,
// and how long the smallest and the largest batch take. Rows that mix, or an output that is not one row per row of input, would
// hand one caller's answer to another, so a claim that these runs do not confirm is dropped.
import { performance } from 'node:perf_hooks'
import type { DataType, Signature, TensorSpec } from '../../tensor/index.js'
import { widenBf16 } from './bf16.js'
import { fail, OnnxFailure, reasonOf } from './failure.js'
import { type GivenRows, inputMakers, largestRows, type MakeInputs } from './made-up-inputs.js'
import type { PreparedModel } from './prepare-model.js'
import type { GraphValue } from './read-graph.js'
import type { OnnxSession, RawTensor } from './session.js'

export interface ProbeOptions extends GivenRows {
  /** Rows of the largest batch the batcher will make. */
  readonly maxBatchSize: number
}

export interface Probe {
  readonly signature: Signature
  /** Why `batchAxis` is null. */
  readonly notBatchedBecause: string | undefined
  /** Undefined when no made-up input could be run. */
  readonly batch1Ms: number | undefined
  readonly largestBatchMs: number | undefined
}

interface FirstRun {
  readonly inputs: RawTensor[]
  readonly outputs: RawTensor[]
  readonly ms: number
}

/** Runs that worked: one row, and several rows unless they were not tried or failed. */
interface FirstRuns {
  readonly alone: FirstRun
  readonly joined: FirstRun | undefined
  readonly joinedFailed: string | undefined
}

/** Throws RANK_UNKNOWN, when an output's dimensions are neither declared nor seen. */
export async function probe(session: OnnxSession, model: PreparedModel, options: ProbeOptions): Promise<Probe> {
  const rows = model.notBatchedBecause === undefined ? largestRows(model, options.maxBatchSize) : 1
  const runs = await firstRuns(session, await inputMakers(model, options), rows)
  if (!runs) {
    const notBatchedBecause =
      model.notBatchedBecause ?? 'every test run failed, so joining rows is unproven; add "warmup" rows to model.json'
    return { signature: signature(model, null), notBatchedBecause, batch1Ms: undefined, largestBatchMs: undefined }
  }
  const { alone, joined } = runs
  const notBatchedBecause = model.notBatchedBecause ?? runs.joinedFailed ?? whyNotJoined(model, runs, rows)
  const batch1Ms = await typicalMs(session, alone)
  return {
    signature: signature(model, notBatchedBecause === undefined ? 0 : null, alone.outputs),
    notBatchedBecause,
    batch1Ms,
    largestBatchMs: joined ? await typicalMs(session, joined) : batch1Ms,
  }
}

async function firstRuns(session: OnnxSession, makers: MakeInputs[], rows: number): Promise<FirstRuns | undefined> {
  let onlyAlone: FirstRuns | undefined
  for (const make of makers) {
    const alone = await tryRun(session, make, 1)
    if (typeof alone === 'string') continue
    if (rows === 1) return { alone, joined: undefined, joinedFailed: undefined }
    const joined = await tryRun(session, make, rows)
    if (typeof joined !== 'string') return { alone, joined, joinedFailed: undefined }
    onlyAlone ??= { alone, joined: undefined, joinedFailed: `a test run with ${rows} rows failed: ${joined}` }
  }
  return onlyAlone
}

/** Why it failed, as text: this guess at an input may not suit the model where another does. */
async function tryRun(session: OnnxSession, make: MakeInputs, rows: number): Promise<FirstRun | string> {
  try {
    const inputs = make(rows)
    const start = performance.now()
    const outputs = session.run(inputs)
    return { inputs, outputs, ms: performance.now() - start }
  } catch (error) {
    if (error instanceof OnnxFailure && 'reason' in error.failure.params) return error.failure.params.reason
    return reasonOf(error)
  }
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

/** The median of five more runs; a slow model's first one says enough, and every further one would delay its readiness. */
async function typicalMs(session: OnnxSession, { inputs, ms }: FirstRun): Promise<number> {
  if (ms > SLOW_MS) return ms
  const times: number[] = []
  while (times.length < 5) {
    const start = performance.now()
    session.run(inputs)
    times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)[2]!
}

const SLOW_MS = 50

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
