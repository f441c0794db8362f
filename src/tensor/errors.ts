// What can be wrong with tensors and rows that arrive. Shapes are written as the protocols write them: [1,30].
import { defineErrors } from '../core/index.js'
import { DATATYPES } from './datatype.js'

/** Sizes in a shape; NumPy's own limit was 32 for most of its life. */
export const MAX_DIMENSIONS = 32

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
  JSON_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { offset: number; problem: string; near: string }) =>
      `The body is not valid JSON: at byte ${p.offset}, near \`${p.near}\`, ${p.problem}.`,
  },
  JSON_UNEXPECTED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { member: string; expected: string; offset: number; near: string }) =>
      `${p.member} must be ${p.expected}, but at byte ${p.offset} this arrived: \`${p.near}\`.`,
  },
  MEMBER_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { member: string; of: string }) => `${p.of} has no ${p.member}. Add it.`,
  },
  MEMBER_DUPLICATE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { member: string; offset: number }) =>
      `${p.member} arrived a second time at byte ${p.offset}. Send it once: readers disagree on which one counts.`,
  },
  DATATYPE_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; datatype: string }) =>
      `Input "${p.input}" has the datatype "${p.datatype}", which does not exist. Send one of ${DATATYPES.join(', ')}.`,
  },
  SHAPE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; problem: string }) =>
      `The shape of input "${p.input}" ${p.problem}. Send at most ${MAX_DIMENSIONS} sizes, whole numbers from 0 on, that together count the elements sent.`,
  },
  ELEMENT_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; index: number; datatype: string; expected: string; offset: number; near: string }) =>
      `Element ${p.index} of input "${p.input}" must be ${p.expected} (${p.datatype}), but at byte ${p.offset} this arrived: \`${p.near}\`.`,
  },
  NESTING_MISMATCH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; shape: readonly number[]; axis: number; arrived: string; offset: number }) =>
      `The nested data of input "${p.input}" does not follow its shape ${shapeText(p.shape)}: axis ${p.axis} needs ${
        p.axis < p.shape.length ? `a list of ${p.shape[p.axis]}` : 'single elements'
      }, but ${p.arrived} arrived at byte ${p.offset}. Nest the data as the shape says, or send it flat.`,
  },
  STRINGS_TOO_MANY: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { input: string; limit: number }) =>
      `With input "${p.input}" the request holds more than ${p.limit} strings, the most that one may bring. Send several requests.`,
  },
  BINARY_LENGTH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { tensor: string; datatype: string; shape: readonly number[]; problem: string }) =>
      `The binary data of tensor "${p.tensor}" does not fit its shape: ${p.datatype} ${shapeText(p.shape)} ${p.problem}. Send the elements little-endian and without padding, each of BYTES after its length as a uint32.`,
  },
  CONTENTS_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { tensor: string; datatype: string; problem: string }) =>
      `The contents of tensor "${p.tensor}" cannot be used: ${p.datatype} ${p.problem}. Send its elements in the list of its datatype, or raw (raw_input_contents).`,
  },
  OUTPUT_NOT_TEXT: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { output: string; index: number }) =>
      `Element ${p.index} of output "${p.output}" is not UTF-8 text, so JSON cannot carry it. Ask for the output as binary (binary_data), or leave it out.`,
  },
  FEATURES_MISMATCH: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { features: number; inputs: readonly { name: string; shape: readonly number[] }[] }) =>
      `model.json names ${p.features} features, but the graph's inputs are ${p.inputs.map((input) => `"${input.name}" ${shapeText(input.shape)}`).join(', ')}. "features" names the columns of one input [rows, columns]: correct the list, or leave it out when each feature is an input of its own.`,
  },
  FEATURE_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { row: number; missing: readonly string[]; of: number }) =>
      `Row ${p.row} lacks ${p.missing.length} of ${p.of} features: ${names(p.missing)}. Send each of them; null means a missing number.`,
  },
  FEATURE_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { row: number; feature: string; suggestion: string | undefined; known: readonly string[] }) =>
      `Row ${p.row} has "${p.feature}", which is no feature of this model. ${
        p.suggestion === undefined ? `Its features are ${names(p.known)}.` : `Did you mean "${p.suggestion}"?`
      }`,
  },
  FEATURE_DUPLICATE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { row: number; feature: string }) =>
      `Row ${p.row} has feature "${p.feature}" more than once. Send it once.`,
  },
  FEATURE_TYPE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { row: number; feature: string; expected: string; arrived: string }) =>
      `Feature "${p.feature}" of row ${p.row} must be ${p.expected}, but ${p.arrived} arrived.`,
  },
  FEATURE_SHAPE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { row: number; feature: string; expected: readonly number[]; arrived: readonly number[] }) =>
      `Feature "${p.feature}" of row ${p.row} must be lists nested as ${shapeText(p.expected)}${
        p.expected.includes(-1) ? ' (-1 is any size)' : ''
      }, but ${p.arrived.length === 0 ? 'a single value' : shapeText(p.arrived)} arrived. All rows of one request have the same sizes.`,
  },
  ROWS_EMPTY: {
    status: 400,
    retry: false,
    level: 'info',
    message: () => 'No rows arrived. Send at least one.',
  },
  ROWS_TOO_MANY: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { limit: number }) => `More than ${p.limit} rows arrived in one request. Send several requests.`,
  },
  ROWS_NOT_BATCHABLE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { rows: number }) =>
      `${p.rows} rows arrived, but this model has no batch axis and takes one row at a time. Send each row by itself.`,
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
