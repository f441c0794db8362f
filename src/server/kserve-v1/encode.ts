// Predict replies of KServe's version 1: rows under `predictions`, or columns under `outputs`. One output drops its name.
import { isUtf8 } from 'node:buffer'
import type { HeadraceError } from '../../core/index.js'
import type { VersionState, VersionStatus } from '../../serving/index.js'
import { dataToJson, elementToJson, quoteJson, type Tensor } from '../../tensor/index.js'
import type { PredictResponse } from './types.js'

/** NaN and infinities are bare tokens, as TensorFlow Serving has them; bytes that are not text are `{"b64": "…"}`. */
export function encodePredictResponse({ form, rows, outputs }: PredictResponse): string {
  if (form === 'columns') return `{"outputs":${named(outputs, wholeToJson)}}`
  let text = ''
  for (let row = 0; row < rows; row++) {
    if (row > 0) text += ','
    text += named(outputs, (output) => rowToJson(output, row, rows))
  }
  return `{"predictions":[${text}]}`
}

/** `error` is a string, as every client of the protocol expects; the code stands beside it. */
export function encodeError(error: HeadraceError): string {
  return JSON.stringify({ error: error.message, code: error.code })
}

/** As TensorFlow Serving has it. A version that loads when it is asked for is available: its clients wait for that word. */
export function encodeVersionStatus({ ref, state, reason }: VersionStatus): object {
  const isFailed = state === 'failed' || state === 'unready'
  return {
    version: String(ref.version),
    state: STATES[state],
    status: { error_code: isFailed ? 'UNAVAILABLE' : 'OK', error_message: reason ?? '' },
  }
}

const STATES: { readonly [S in VersionState]: string } = {
  resting: 'AVAILABLE',
  loading: 'LOADING',
  ready: 'AVAILABLE',
  unready: 'LOADING',
  failed: 'END',
  unloading: 'UNLOADING',
  unloaded: 'END',
}

export function encodeModelList(names: readonly string[]): string {
  return JSON.stringify({ models: names })
}

function named(outputs: readonly Tensor[], toJson: (output: Tensor) => string): string {
  if (outputs.length === 1) return toJson(outputs[0]!)
  return `{${outputs.map((output) => `${quoteJson(output.name)}:${toJson(output)}`).join(',')}}`
}

function wholeToJson(output: Tensor): string {
  return nestToJson(output, 0, output.data.length, 0)
}

/** An output whose first axis is not the rows belongs to a model without a batch axis, which answers one row: it is that row's. */
function rowToJson(output: Tensor, row: number, rows: number): string {
  if (output.shape[0] !== rows) return wholeToJson(output)
  const size = output.data.length / rows
  return nestToJson(output, row * size, size, 1)
}

/** Elements `from` to `from + size`, nested as the shape says from `axis` on. */
function nestToJson(output: Tensor, from: number, size: number, axis: number): string {
  const { shape } = output
  if (axis === shape.length) return elementsToJson(output, from, 1)
  if (axis === shape.length - 1) return `[${elementsToJson(output, from, size)}]`
  const length = shape[axis]!
  const innerSize = size / length
  let text = ''
  for (let i = 0; i < length; i++)
    text += `${i > 0 ? ',' : ''}${nestToJson(output, from + i * innerSize, innerSize, axis + 1)}`
  return `[${text}]`
}

function elementsToJson(output: Tensor, from: number, size: number): string {
  if (output.datatype !== 'BYTES') return dataToJson(output, from, from + size)
  let text = ''
  for (let i = from; i < from + size; i++) {
    const bytes = output.data[i] as Buffer
    text += `${i > from ? ',' : ''}${isUtf8(bytes) ? elementToJson(output, i) : `{"b64":"${bytes.toString('base64')}"}`}`
  }
  return text
}
