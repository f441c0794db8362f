// The `serving.onnx` section of the configuration: what holds for all ONNX versions whose model.json does not say otherwise.
import { z } from 'zod'

const name = z.enum(['cpu', 'cuda', 'tensorrt'])

const provider = z.union([
  name.transform((name) => ({ name, options: {} })),
  z.strictObject({
    name,
    options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  }),
])

export const onnxSection = z
  .strictObject({
    providers: z
      .array(provider)
      .min(1)
      .prefault(['cpu'])
      .describe(
        'Execution providers in order of preference: "cpu", "cuda", "tensorrt", or { name, options: { deviceId } }. One that is not there is passed over if another follows, and fails the load otherwise',
      ),
    graphCacheMaxBytes: z
      .int()
      .min(0)
      .default(1024 ** 3)
      .describe(
        'Optimised graphs of models with 200 nodes or more are kept in the data folder up to this size; 0 keeps none',
      ),
  })
  .prefault({})
  .describe('How ONNX models are run.')
