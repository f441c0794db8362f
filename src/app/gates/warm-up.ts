// Answers its warm-up: the rows of model.json, or zeros, through the leaf as a caller's would go; outputs as the signature says, and finite.
import { Deadline } from '../../flow/index.js'
import type { ServedVersion } from '../../serving/index.js'
import {
  bfloat16ToNumber,
  describeRows,
  float16ToNumber,
  rowsToTensors,
  type Tensor,
  type TensorMap,
} from '../../tensor/index.js'
import type { Gate } from './gate.js'
import { zeroInputs } from './inputs.js'

const DEADLINE_MS = 60_000

export const warmUp: Gate = {
  name: 'warm-up',
  isNeeded: true,
  async check({ app, served }) {
    const { manifest, signature, labels, leaf } = served!
    const rows = manifest.warmup.map(({ inputs }) => inputs)
    const schema = describeRows(signature, manifest, labels)
    const inputs = rows.length > 0 ? rows.map((row) => rowsToTensors([row], schema)) : [zeroInputs(signature)]
    const problems: string[] = []
    for (const tensors of inputs) {
      const deadline = Deadline.in(app.platform.clock, DEADLINE_MS)
      const { outputs } = await leaf.call(
        { tensors, rows: 1, outputs: undefined, priority: 'low', isTest: true },
        deadline,
      )
      problems.push(...problemsOf(outputs, served!))
    }
    const evidence = {
      predictions: inputs.length,
      from: rows.length > 0 ? 'warmup rows of model.json' : 'zeros',
      problems,
    }
    if (problems.length > 0) return [{ verdict: 'failed', summary: problems[0]!, evidence }]
    return [
      {
        verdict: 'passed',
        summary: `It answered ${inputs.length} test prediction${inputs.length === 1 ? '' : 's'} with finite values of the right shapes.`,
        evidence,
      },
    ]
  },
}

function problemsOf(outputs: TensorMap, { signature }: ServedVersion): string[] {
  return signature.outputs.flatMap(({ name, datatype, shape }) => {
    const tensor = outputs.get(name)
    if (tensor === undefined) return [`It gave no output "${name}".`]
    if (tensor.datatype !== datatype)
      return [`Output "${name}" is ${tensor.datatype}, and its signature says ${datatype}.`]
    const fits =
      tensor.shape.length === shape.length && shape.every((size, axis) => size === -1 || size === tensor.shape[axis])
    if (!fits) return [`Output "${name}" has shape [${tensor.shape}], and its signature says [${shape}].`]
    const bad = firstNotFinite(tensor)
    return bad === undefined ? [] : [`Output "${name}" is ${bad} for a warm-up row.`]
  })
}

/** Undefined when all are finite. */
export function firstNotFinite({ datatype, data }: Tensor): number | undefined {
  const read =
    datatype === 'FP16'
      ? float16ToNumber
      : datatype === 'BF16'
        ? bfloat16ToNumber
        : datatype === 'FP32' || datatype === 'FP64'
          ? Number
          : undefined
  if (read === undefined) return undefined
  for (let i = 0; i < data.length; i++) {
    const value = read((data as Float64Array)[i]!)
    if (!Number.isFinite(value)) return value
  }
  return undefined
}
