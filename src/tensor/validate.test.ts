import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../core/index.js'
import { allocate, type DataType } from './datatype.js'
import { elementCount, type Signature, type Tensor, type TensorMap } from './tensor.js'
import { tensorMap, validateInputs, validateOutputNames } from './validate.js'

const signature: Signature = {
  inputs: [
    { name: 'features', datatype: 'FP32', shape: [-1, 30] },
    { name: 'country', datatype: 'BYTES', shape: [-1, 1] },
  ],
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'probabilities', datatype: 'FP32', shape: [-1, 2] },
  ],
  batchAxis: 0,
}

function tensor(name: string, datatype: DataType, shape: number[], length = elementCount(shape)): Tensor {
  return { name, datatype, shape, data: allocate(datatype, length) }
}
const country = tensor('country', 'BYTES', [1, 1])
const inputs = (...tensors: Tensor[]): TensorMap => new Map(tensors.map((each) => [each.name, each]))

/** Code and message of what a call throws. */
function refusal(call: () => unknown): { code: string; message: string; status: number } {
  try {
    call()
  } catch (error) {
    if (error instanceof HeadraceError) return { code: error.code, message: error.message, status: error.status }
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('validateInputs', () => {
  it('returns the number of rows of inputs that fit', () => {
    expect(
      validateInputs(inputs(tensor('features', 'FP32', [7, 30]), tensor('country', 'BYTES', [7, 1])), signature),
    ).toBe(7)
  })

  it('returns 1 for a model without a batch axis, whose first sizes need not agree', () => {
    const whole: Signature = { ...signature, batchAxis: null }
    expect(validateInputs(inputs(tensor('features', 'FP32', [3, 30]), tensor('country', 'BYTES', [5, 1])), whole)).toBe(
      1,
    )
    expect(validateInputs(inputs(tensor('features', 'FP32', [0, 30]), country), whole)).toBe(1)
  })

  const cases: [string, TensorMap, string, string][] = [
    [
      'a missing input',
      inputs(tensor('features', 'FP32', [1, 30])),
      'TENSOR_INPUT_MISSING',
      'Input "country" is missing; these arrived: "features". Send every input of the model\'s signature.',
    ],
    [
      'no input at all',
      inputs(),
      'TENSOR_INPUT_MISSING',
      'Input "features" is missing; no input arrived. Send every input of the model\'s signature.',
    ],
    [
      'an unknown input',
      inputs(tensor('features', 'FP32', [1, 30]), country, tensor('extra', 'FP32', [1])),
      'TENSOR_INPUT_UNKNOWN',
      'The model has no input "extra". Its inputs are "features", "country": leave "extra" out or correct its name.',
    ],
    [
      'another datatype',
      inputs(tensor('features', 'FP64', [1, 30]), country),
      'TENSOR_DATATYPE_MISMATCH',
      'Input "features" arrived as FP64, but the model takes FP32. Send it as FP32.',
    ],
    [
      'one row without the batch axis',
      inputs(tensor('features', 'FP32', [30]), country),
      'TENSOR_SHAPE_MISMATCH',
      'Input "features" arrived with shape [30], but the model takes [-1,30], where -1 is any size. Add the batch axis: send [1,30] for one row.',
    ],
    [
      'another rank',
      inputs(tensor('features', 'FP32', [1, 1, 30]), country),
      'TENSOR_SHAPE_MISMATCH',
      'Input "features" arrived with shape [1,1,30], but the model takes [-1,30], where -1 is any size. Send 2 sizes; 3 arrived.',
    ],
    [
      'another size on a fixed axis',
      inputs(tensor('features', 'FP32', [1, 29]), country),
      'TENSOR_SHAPE_MISMATCH',
      'Input "features" arrived with shape [1,29], but the model takes [-1,30], where -1 is any size. Send 30 instead of 29 on axis 1.',
    ],
    [
      'a negative size',
      inputs(tensor('features', 'FP32', [-1, 30], 30), country),
      'TENSOR_SHAPE_MISMATCH',
      'Input "features" arrived with shape [-1,30], but the model takes [-1,30], where -1 is any size. Send sizes that are whole numbers, 0 or more.',
    ],
    [
      'fewer elements than the shape says',
      inputs(tensor('features', 'FP32', [2, 30], 59), country),
      'TENSOR_LENGTH_MISMATCH',
      'Input "features" arrived with 59 elements, but its shape [2,30] holds 60. Correct the shape or the data.',
    ],
    [
      'inputs with different numbers of rows',
      inputs(tensor('features', 'FP32', [2, 30]), tensor('country', 'BYTES', [3, 1])),
      'TENSOR_ROWS_MISMATCH',
      'Input "country" arrived with shape [3,1], but input "features" has 2 rows. Send the same number of rows, the first size of a shape, in every input.',
    ],
    [
      'no rows',
      inputs(tensor('features', 'FP32', [0, 30]), tensor('country', 'BYTES', [0, 1])),
      'TENSOR_ROWS_MISSING',
      'Input "features" arrived with shape [0,30], which holds no rows. Send at least one row.',
    ],
  ]
  it.each(cases)('refuses %s', (_, arrived, code, message) => {
    expect(refusal(() => validateInputs(arrived, signature))).toEqual({ code, message, status: 400 })
  })
})

describe('tensorMap', () => {
  it('keeps the order and refuses a name that arrives twice', () => {
    expect([...tensorMap([tensor('b', 'FP32', [1]), tensor('a', 'FP32', [1])]).keys()]).toEqual(['b', 'a'])
    const twice = [tensor('a', 'FP32', [1]), tensor('b', 'FP32', [1]), tensor('b', 'FP32', [1])]
    expect(refusal(() => tensorMap(twice))).toEqual({
      code: 'TENSOR_INPUT_DUPLICATE',
      message: 'Input "b" arrived more than once. Send each input once.',
      status: 400,
    })
  })
})

describe('validateOutputNames', () => {
  it('takes any of the outputs, or none for all', () => {
    validateOutputNames(undefined, signature)
    validateOutputNames(['probabilities', 'label'], signature)
  })

  it('refuses an output that the model does not have', () => {
    expect(refusal(() => validateOutputNames(['label', 'score'], signature))).toEqual({
      code: 'TENSOR_OUTPUT_UNKNOWN',
      message:
        'The model has no output "score". Its outputs are "label", "probabilities": ask for those, or name none to get all.',
      status: 400,
    })
  })
})
