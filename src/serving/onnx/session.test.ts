import { describe, expect, it } from 'vitest'
import type { OnnxFailure } from './failure.js'
import { runFailure } from './session.js'

// Messages of ONNX Runtime 1.30, as its Node binding gives them.
describe('runFailure', () => {
  it.each([
    [
      'Invalid rank for input: x Got: 1 Expected: 2 Please fix either the inputs/outputs or the model.',
      { key: 'INPUT_REFUSED', params: { reason: 'Invalid rank for input: x Got: 1 Expected: 2' } },
    ],
    [
      'Unexpected input data type. Actual: (tensor(int32)) , expected: (tensor(int64))',
      {
        key: 'INPUT_REFUSED',
        params: { reason: 'Unexpected input data type. Actual: (tensor(int32)) , expected: (tensor(int64))' },
      },
    ],
    [
      "Non-zero status code returned while running Gather node. Name:'g' Status Message: indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]",
      {
        key: 'VALUES_REFUSED',
        params: {
          operator: 'Gather',
          reason: 'indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]',
        },
      },
    ],
    [
      "Non-zero status code returned while running MatMul node. Name:'' Status Message: matmul_helper.h:59 Compute MatMul dimension mismatch",
      { key: 'VALUES_REFUSED', params: { operator: 'MatMul', reason: 'Compute MatMul dimension mismatch' } },
    ],
    [
      "Non-zero status code returned while running Div node. Name:'' Status Message: element_wise_ops.cc:692 Compute Integer division by zero",
      { key: 'VALUES_REFUSED', params: { operator: 'Div', reason: 'Compute Integer division by zero' } },
    ],
    [
      "Non-zero status code returned while running Conv node. Name:'' Status Message: Failed to allocate memory for requested buffer of size 8589934592",
      { key: 'RUN_FAILED' },
    ],
    [
      'The model ran into something unforeseen.',
      { key: 'RUN_FAILED', params: { reason: 'The model ran into something unforeseen' } },
    ],
  ])('%s', (message, failure) => {
    expect((runFailure(new Error(message)) as OnnxFailure).failure).toMatchObject(failure)
  })
})
