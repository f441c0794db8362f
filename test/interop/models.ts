// The models that the clients are tried on. Each promise has a model of its own where trying it changes something, so that
// clients can be tried in any order.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  buildModel,
  identityModel,
  initializer,
  node,
  slowModel,
  twoInputsModel,
  value,
} from '../support/onnx-models.js'

/** Every datatype of the protocol that ONNX Runtime's Node binding takes; BF16 is a script below. */
const ONNX_DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const

/** Which clients get models that they may load, unload and count on. */
export const CONTROLLERS = ['http', 'http_aio', 'grpc', 'grpc_aio', 'kserve', 'mlserver'] as const

/** How many models `writeModels` writes, versions counted apart. */
export const VERSIONS = ONNX_DATATYPES.length + 8 + 2 * CONTROLLERS.length

const BF16_IDENTITY = `
export default {
  inputs: { x: { datatype: 'BF16', shape: [-1, 4] } },
  outputs: { y: { datatype: 'BF16', shape: [-1, 4] } },
  run: ({ inputs }) => ({ y: { shape: inputs.x.shape, data: inputs.x.data } }),
}
`

/** Answers what it got after two seconds, without using a core meanwhile. */
const SLEEPER = `
export default {
  inputs: { x: { datatype: 'FP32', shape: [-1, 4] } },
  outputs: { y: { datatype: 'FP32', shape: [-1, 4] } },
  timeoutMs: 10000,
  run: async ({ inputs }) => {
    await new Promise((resolve) => setTimeout(resolve, 2000))
    return { y: { shape: inputs.x.shape, data: inputs.x.data } }
  },
}
`

/** y = x * factor, FP32 [rows, 4]: tells versions apart. */
export function timesModel(factor: number): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', 4])],
    outputs: [value('y', 'FP32', ['rows', 4])],
    nodes: [node('Mul', ['x', 'factor'], ['y'])],
    initializers: [initializer('factor', 'FP32', [], Float32Array.of(factor))],
  })
}

/** `twoInputsModel` without rows: every shape is [16]. */
function twoVectorsModel(): Uint8Array {
  const of = (name: string) => value(name, 'INT32', [16])
  return buildModel({
    inputs: [of('INPUT0'), of('INPUT1')],
    outputs: [of('OUTPUT0'), of('OUTPUT1')],
    nodes: [node('Add', ['INPUT0', 'INPUT1'], ['OUTPUT0']), node('Sub', ['INPUT0', 'INPUT1'], ['OUTPUT1'])],
  })
}

export function writeModels(folder: string): void {
  const write = (model: string, version: number, file: Uint8Array | string, manifest?: object) => {
    const at = join(folder, model, String(version))
    mkdirSync(at, { recursive: true })
    writeFileSync(join(at, typeof file === 'string' ? 'model.mjs' : 'model.onnx'), file)
    if (manifest) writeFileSync(join(at, 'model.json'), JSON.stringify(manifest))
  }
  for (const datatype of ONNX_DATATYPES)
    write(`identity_${datatype.toLowerCase()}`, 1, identityModel(datatype, ['rows', 'width']))
  write('identity_bf16', 1, BF16_IDENTITY)
  write('simple', 1, twoInputsModel())
  write('simple_unbatched', 1, twoVectorsModel())
  write('classes', 1, identityModel('FP32', ['rows', 4]), { labels: ['ash', 'birch', 'cedar', 'fir'] })
  write('versions', 1, timesModel(1))
  write('versions', 2, timesModel(2))
  write('sleeper', 1, SLEEPER)
  write('busy', 1, slowModel(300))
  for (const client of CONTROLLERS) {
    write(`control_${client}`, 1, twoInputsModel())
    write(`counted_${client}`, 1, timesModel(1))
  }
}
