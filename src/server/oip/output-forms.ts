// How a caller wants each output: as JSON or binary, whole or as its largest elements.
import { OipErrors } from './errors.js'
import type { InferRequest, Parameters } from './types.js'

export interface OutputForm {
  readonly isBinary: boolean
  /** How many of the largest elements; 0: the output itself. */
  readonly classes: number
}

export interface OutputForms {
  /** Of outputs that are not named below. */
  readonly others: OutputForm
  readonly byName: ReadonlyMap<string, OutputForm>
}

/**
 * Undefined when every output is wanted whole and as JSON. `binary_data` of an output comes before the request's
 * `binary_data_output`, as the extension's document has it. Throws OIP_PARAMETER_INVALID.
 */
export function outputForms({ parameters, outputParameters, isRaw }: InferRequest): OutputForms | undefined {
  const isBinary = isRaw || flag(parameters, 'binary_data_output', 'the request') === true
  if (!isBinary && outputParameters.size === 0) return undefined
  const byName = new Map<string, OutputForm>()
  let hasOther = isBinary
  for (const [name, wanted] of outputParameters) {
    const of = `output "${name}"`
    const form = { isBinary: flag(wanted, 'binary_data', of) ?? isBinary, classes: classCount(wanted, of) }
    hasOther ||= form.isBinary || form.classes > 0
    byName.set(name, form)
  }
  return hasOther ? { others: { isBinary, classes: 0 }, byName } : undefined
}

function flag(parameters: Parameters, parameter: string, of: string): boolean | undefined {
  const arrived = parameters[parameter]
  if (arrived === undefined || typeof arrived === 'boolean') return arrived
  throw invalid(parameter, of, 'true or false', arrived)
}

/** Throws OIP_PARAMETER_INVALID. */
export function classCount(parameters: Parameters, of: string): number {
  const arrived = parameters['classification']
  if (arrived === undefined) return 0
  // 0 is what clients send for none.
  if (Number.isSafeInteger(arrived) && (arrived as number) >= 0) return arrived as number
  throw invalid('classification', of, 'a number of classes', arrived)
}

function invalid(parameter: string, of: string, expected: string, arrived: string | number | boolean): Error {
  return OipErrors.PARAMETER_INVALID({ parameter, of, expected, arrived: JSON.stringify(arrived).slice(0, 40) })
}
