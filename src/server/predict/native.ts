// A native call: each row of its list is its own prediction with its own unit, routed by itself and batched with the others.

import type { Caller } from '../../access/index.js'
import { rowSchema } from '../../app/index.js'
import type { HeadraceError } from '../../core/index.js'
import { type Given, Prediction } from '../../path/index.js'
import { sliceRows, type Tensor, type TensorMap, tensorsToNamedOutputs } from '../../tensor/index.js'
import type { ServerContext } from '../context.js'
import { encodeNativeResponse, encodeNativeRow, type NativeRequest } from '../native/index.js'
import type { Exchange } from './exchange.js'
import { givenRows } from './given.js'
import { type Destination, predictionRequest } from './request.js'

/** Rows of one call that are in flight together; more wait, so that a long list cannot fill a model's queue by itself. */
const WINDOW_ROWS = 256

export interface NativeAnswer {
  /** Undefined when every row failed: `error` is then the first one's. */
  readonly body: string | undefined
  readonly error: HeadraceError | undefined
  /** Of the first row. */
  readonly id: string
  readonly flags: readonly string[]
}

export async function predictNative(
  context: ServerContext,
  exchange: Exchange,
  arrivedMs: number,
  caller: Caller,
  destination: Destination,
  native: NativeRequest,
): Promise<NativeAnswer> {
  const { features } = destination
  const given = features && givenRows(features, native.rows, native.columns!, native.entities)
  const predictions: Prediction[] = []
  for (let start = 0; start < native.rows; start += WINDOW_ROWS) {
    const window: Promise<void>[] = []
    for (let row = start; row < Math.min(start + WINDOW_ROWS, native.rows); row++) {
      const prediction = rowPrediction(context, exchange, arrivedMs, caller, destination, native, row, given)
      predictions.push(prediction)
      exchange.client.enter(prediction)
      window.push(context.app.path.predict(prediction))
    }
    await Promise.all(window)
    for (const prediction of predictions.slice(start)) exchange.client.leave(prediction)
  }
  const first = predictions[0]!
  const { flags } = first
  if (predictions.every((prediction) => prediction.error))
    return { body: undefined, error: first.error, id: first.id, flags }
  const timings = {
    admit: first.admitMs,
    features: first.featuresMs,
    queue: first.queueMs,
    run: first.computeMs,
    total: context.app.platform.clock.monotonicMs() - arrivedMs,
  }
  const body = encodeNativeResponse({
    endpoint: destination.endpoint.name,
    single: native.single,
    rows: predictions.map(rowReply),
    timings,
  })
  return { body, error: undefined, id: first.id, flags }
}

function rowReply({ id, error, reply }: Prediction): string {
  return error ? encodeNativeRow({ id, error }) : (reply as string)
}

function rowPrediction(
  context: ServerContext,
  exchange: Exchange,
  arrivedMs: number,
  caller: Caller,
  destination: Destination,
  native: NativeRequest,
  row: number,
  given: Given | undefined,
): Prediction {
  const tensors = native.rows === 1 || given !== undefined ? native.inputs : rowOf(native.inputs, row)
  return new Prediction(
    predictionRequest(context, exchange, arrivedMs, caller, destination, {
      protocol: 'native',
      tensors,
      given,
      givenRow: given && row,
      rawInputs: undefined,
      outputs: native.outputs,
      unit: native.units[row],
      timeoutMs: undefined,
      priority: native.priority,
      metadata: native.metadata,
      shaper: shapeRow,
      wire: undefined,
    }),
  )
}

function rowOf(inputs: TensorMap, row: number): TensorMap {
  const tensors = new Map<string, Tensor>()
  for (const [name, tensor] of inputs) tensors.set(name, sliceRows(tensor, row, 1))
  return tensors
}

/** A row's part of the reply; the rows are joined when all of them are there. */
function shapeRow(prediction: Prediction): void {
  const served = prediction.served!
  prediction.reply = encodeNativeRow({
    id: prediction.id,
    model: served.ref.model,
    version: served.ref.version,
    outputs: tensorsToNamedOutputs(prediction.answer!, 0, rowSchema(served)),
    flags: prediction.flags,
  })
}
