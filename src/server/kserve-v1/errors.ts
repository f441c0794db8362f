// What can be wrong with a KServe version 1 request beyond its JSON and its tensors, which report as TENSOR_….
import { defineErrors } from '../../core/index.js'

export const KserveErrors = defineErrors('KSERVE', {
  FORM_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { arrived: string }) =>
      `The request needs either "instances" (a list with one element for each row) or "inputs" (columns); ${p.arrived} arrived.`,
  },
  INPUT_NAMES_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { inputs: readonly string[] }) =>
      `The model has ${p.inputs.length} inputs, so they must be named. Send objects with ${p.inputs
        .slice(0, 20)
        .map((name) => `"${name}"`)
        .join(', ')}.`,
  },
})
