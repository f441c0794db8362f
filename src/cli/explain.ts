// `headrace explain`: what happened to one prediction.
import type { Command } from 'commander'
import type { RecordedCall, StoredLateCall, StoredPrediction, StoredTensor } from '../log/index.js'
import { type Faces, withApi } from './context.js'
import { globalOptions } from './options.js'
import { print, printJson, table } from './output.js'

interface Explained {
  readonly id: string
  readonly steps: readonly string[]
  readonly prediction: StoredPrediction | null
  readonly calls: readonly StoredLateCall[]
}

export function addExplain(program: Command, faces: Faces): void {
  program
    .command('explain')
    .argument('<prediction>', 'id of a prediction')
    .description('what happened to one prediction: route, calls, versions, timings, inputs, outputs')
    .addHelpText('after', '\nExample:\n  headrace explain 0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\n')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const explained = await withApi(faces, options, { loads: false }, (api) =>
        api.json<Explained>('GET', `/api/v1/predictions/${encodeURIComponent(id)}`),
      )
      if (options.json) printJson(explained)
      else print(describe(explained))
    })
}

function describe({ id, steps, prediction, calls: late }: Explained): string {
  const lines = [`prediction ${id}`, '', ...steps.map((step, i) => `${i + 1}. ${step}`)]
  const path = callRows(prediction, late)
  if (path.length > 1) lines.push('', table(['call', 'role', 'status', 'ms', 'when'], path))
  if (prediction === null) return lines.join('\n')
  const { stages, payload } = prediction
  lines.push(
    '',
    table(
      ['stage', 'ms'],
      Object.entries(stages).map(([stage, ms]) => [stage, ms.toFixed(3)]),
    ),
  )
  if (payload) {
    lines.push('', 'inputs', tensors(payload.inputs))
    for (const { call, tensors: outputs } of payload.outputs)
      lines.push('', `outputs of ${prediction.calls[call]?.leaf ?? 'the combination'}`, tensors(outputs))
  }
  for (const { call, payload: latePayload } of late)
    for (const { tensors: outputs } of latePayload?.outputs ?? [])
      lines.push('', `outputs of ${call.leaf}, ${call.role} call after the reply`, tensors(outputs))
  return lines.join('\n')
}

/** The calls in the order they ended. */
function callRows(prediction: StoredPrediction | null, late: readonly StoredLateCall[]): string[][] {
  const row = ({ leaf, role, status, latencyMs, cached }: RecordedCall, when: string) => [
    leaf,
    role,
    cached === undefined ? status : `${status} (${cached})`,
    latencyMs.toFixed(3),
    when,
  ]
  return [
    ...(prediction?.calls ?? []).map((call) => row(call, 'before the reply')),
    ...late.map(({ call }) => row(call, 'after the reply')),
  ]
}

const SHOWN = 12

function tensors(all: readonly StoredTensor[]): string {
  const rows = all.map(({ name, datatype, shape, data }) => {
    const flat = (data as unknown[]).flat(Number.POSITIVE_INFINITY)
    const values = flat.slice(0, SHOWN).map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
    return [name, datatype, `[${shape.join(', ')}]`, `${values.join(', ')}${flat.length > SHOWN ? ', …' : ''}`]
  })
  return table(['tensor', 'datatype', 'shape', 'values'], rows)
}
