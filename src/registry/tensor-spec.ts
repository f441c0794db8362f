// A tensor as people write it in remote.json and pipeline.json.
import { z } from 'zod'
import { DATATYPES, MAX_DIMENSIONS, type TensorSpec } from '../tensor/index.js'
import { objectOf, text } from './json-file.js'

const size = z
  .number({ error: 'a whole number, or -1 for any size, is needed' })
  .int({ error: 'a whole number, or -1 for any size, is needed' })
  .min(-1, { error: 'a whole number, or -1 for any size, is needed' })

export const tensorSpec = z
  .strictObject(
    {
      name: text('the name of a tensor'),
      datatype: z.enum(DATATYPES, { error: `one of ${DATATYPES.join(', ')} is needed` }),
      shape: z
        .array(size, { error: 'a list of sizes is needed, such as [-1, 30]' })
        .max(MAX_DIMENSIONS, { error: `at most ${MAX_DIMENSIONS} sizes are possible` }),
      optional: z.boolean({ error: 'true or false is needed' }).default(false),
    },
    objectOf('an object such as {"name": "x", "datatype": "FP32", "shape": [-1, 30]}'),
  )
  .transform(
    ({ name, datatype, shape, optional }): TensorSpec => ({
      name,
      datatype,
      shape,
      ...(optional ? { isOptional: true } : {}),
    }),
  )

export const TENSOR_SPEC_KEYS = ['name', 'datatype', 'shape', 'optional']

export const tensorSpecs = z
  .array(tensorSpec, {
    error: 'a list of tensors is needed, such as [{"name": "x", "datatype": "FP32", "shape": [-1, 30]}]',
  })
  .min(1, { error: 'at least one tensor is needed' })
  .superRefine((specs, context) => {
    const names = specs.map(({ name }) => name)
    const repeated = names.findIndex((name, i) => names.indexOf(name) !== i)
    if (repeated >= 0)
      context.addIssue({ code: 'custom', path: [repeated, 'name'], message: 'each name may stand there once' })
  })
