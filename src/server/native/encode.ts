// The native reply. Strict JSON: what is NaN has become null before it gets here.
import { quoteJson } from '../../tensor/index.js'
import type { NativeFailure, NativePrediction, NativeResponse } from './types.js'

/**
 * One row: `{"id", "endpoint", "model", "version", "outputs", "flags", "timings"}`. A list: `{"endpoint", "predictions": [{"id",
 * "model", "version", "outputs", "flags"} or {"id", "error": {"code", "message"}}], "timings"}`. Timings are in milliseconds.
 */
export function encodeNativeResponse({ endpoint, single, rows, timings }: NativeResponse): string {
  const tail = `"timings":${timingsToJson(timings)}}`
  if (single) return `{"endpoint":${quoteJson(endpoint)},${rows[0]!},${tail}`
  return `{"endpoint":${quoteJson(endpoint)},"predictions":[{${rows.join('},{')}}],${tail}`
}

/** The members of a row's object, without its braces. Written as each row is answered, so that a long list blocks nobody. */
export function encodeNativeRow(prediction: NativePrediction | NativeFailure): string {
  if ('error' in prediction) {
    const { code, message } = prediction.error
    return `"id":${quoteJson(prediction.id)},"error":${JSON.stringify({ code, message })}`
  }
  const { id, model, version, outputs, flags } = prediction
  return `"id":${quoteJson(id)},"model":${quoteJson(model)},"version":${version},"outputs":${JSON.stringify(outputs)},"flags":${
    flags.length === 0 ? '[]' : JSON.stringify(flags)
  }`
}

/** To the microsecond: the clock has no more. */
function timingsToJson(timings: Readonly<Record<string, number>>): string {
  let text = ''
  for (const stage in timings)
    text += `${text === '' ? '' : ','}${quoteJson(stage)}:${Math.round(timings[stage]! * 1000) / 1000}`
  return `{${text}}`
}
