// What can be wrong with tensors and rows that arrive. Shapes are written as the protocols write them: [1,30].
import { defineErrors } from '../core/index.js'

export const TensorErrors = defineErrors('TENSOR', {
  INPUT_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; arrived: readonly string[] }) =>
      `Input "${p.input}" is missing; ${p.arrived.length === 0 ? 'no input arrived' : `these arrived: ${names(p.arrived)}`}. Send every input of the model's signature.`,
  },
  INPUT_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; known: readonly string[] }) =>
      `The model has no input "${p.input}". Its inputs are ${names(p.known)}: leave "${p.input}" out or correct its name.`,
  },
  INPUT_DUPLICATE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string }) => `Input "${p.input}" arrived more than once. Send each input once.`,
  },
  DATATYPE_MISMATCH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; datatype: string; expected: string }) =>
      `Input "${p.input}" arrived as ${p.datatype}, but the model takes ${p.expected}. Send it as ${p.expected}.`,
  },
  SHAPE_MISMATCH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; shape: readonly number[]; expected: readonly number[]; isBatched: boolean }) =>
      `Input "${p.input}" arrived with shape ${shapeText(p.shape)}, but the model takes ${shapeText(p.expected)}${p.expected.includes(-1) ? ', where -1 is any size' : ''}. ${shapeAdvice(p)}`,
  },
  LENGTH_MISMATCH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; shape: readonly number[]; expected: number; elements: number }) =>
      `Input "${p.input}" arrived with ${p.elements} elements, but its shape ${shapeText(p.shape)} holds ${p.expected}. Correct the shape or the data.`,
  },
  ROWS_MISMATCH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { first: string; rows: number; input: string; shape: readonly number[] }) =>
      `Input "${p.input}" arrived with shape ${shapeText(p.shape)}, but input "${p.first}" has ${p.rows} rows. Send the same number of rows, the first size of a shape, in every input.`,
  },
  ROWS_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; shape: readonly number[] }) =>
      `Input "${p.input}" arrived with shape ${shapeText(p.shape)}, which holds no rows. Send at least one row.`,
  },
  OUTPUT_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { output: string; known: readonly string[] }) =>
      `The model has no output "${p.output}". Its outputs are ${names(p.known)}: ask for those, or name none to get all.`,
  },
})

/** `[1,30]`. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(',')}]`
}

function names(list: readonly string[]): string {
  return list
    .slice(0, 20)
    .map((name) => `"${name}"`)
    .join(', ')
    .concat(list.length > 20 ? ` and ${list.length - 20} more` : '')
}

function shapeAdvice(p: { shape: readonly number[]; expected: readonly number[]; isBatched: boolean }): string {
  const { shape, expected } = p
  // The commonest mistake by far: one row, sent without the axis that counts rows.
  const isRowAlone =
    p.isBatched &&
    shape.length + 1 === expected.length &&
    shape.every((size, i) => expected[i + 1] === -1 || expected[i + 1] === size)
  if (isRowAlone) return `Add the batch axis: send ${shapeText([1, ...shape])} for one row.`
  if (shape.length !== expected.length) return `Send ${expected.length} sizes; ${shape.length} arrived.`
  const axis = expected.findIndex((size, i) => size !== -1 && size !== shape[i])
  return axis === -1
    ? 'Send sizes that are whole numbers, 0 or more.'
    : `Send ${expected[axis]} instead of ${shape[axis]} on axis ${axis}.`
}
