// pipeline.json: which versions do one thing after the other, and whose output is whose input. What can be wrong with it without
// knowing the models is found here: names that nothing has, cycles, and what is computed for nobody.
import { z } from 'zod'
import { didYouMean, type ModelName, parseModelName } from '../core/index.js'
import type { PipelineModel, PipelineStep, TensorSource } from '../tensor/index.js'
import { objectOf, readJsonFile, text, WHOLE } from './json-file.js'
import { TENSOR_SPEC_KEYS, tensorSpecs } from './tensor-spec.js'

const PIN = 'the number of a version is needed: a version never changes, so what it is made of is pinned'

const sources = (what: string) => z.record(z.string().min(1), text('"<input>" or "<step>.<output>"'), objectOf(what))

const stepKeys = z.strictObject(
  {
    name: z.string({ error: 'a name is needed' }).regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/, {
      error: 'a name of letters, digits, "_" and "-" is needed; a "." would look like the end of the name',
    }),
    model: z
      .string({ error: 'the name of a model is needed' })
      .refine((name) => parseModelName(name) !== undefined, { error: 'the name of a model is needed' }),
    version: z.number({ error: PIN }).int({ error: PIN }).min(1, { error: PIN }),
    inputs: sources('an object such as {"<input of the model>": "<input of the pipeline, or step.output>"}'),
  },
  objectOf('an object such as {"name": "embed", "model": "embed", "version": 2, "inputs": {"x": "image"}}'),
)

const STEPS = 'a list of steps is needed'

const pipelineKeys = z.strictObject(
  {
    inputs: tensorSpecs.optional(),
    steps: z.array(stepKeys, { error: STEPS }).min(1, { error: 'at least one step is needed' }),
    outputs: sources('an object such as {"score": "rank.value"}'),
  },
  objectOf('an object with "steps" and "outputs"'),
)

const pipeline = pipelineKeys.superRefine((data, context) => {
  for (const problem of problemsOf(data)) context.addIssue({ code: 'custom', message: problem, params: WHOLE })
})

type PipelineFile = z.infer<typeof pipelineKeys>

/**
 * Reads the text of a pipeline.json; `source` names it in messages. Throws REGISTRY_MANIFEST_INVALID with every problem at once.
 */
export function readPipelineFile(text: string, source: string): PipelineModel {
  const data = readJsonFile(text, source, 'pipeline.json', pipeline, knownKeys)
  const names = new Set(data.steps.map(({ name }) => name))
  const steps = data.steps.map(
    ({ name, model, version, inputs }): PipelineStep => ({
      name,
      model: model as ModelName,
      version,
      inputs: new Map(Object.entries(inputs).map(([input, from]) => [input, sourceOf(from, names)])),
    }),
  )
  const outputs = Object.entries(data.outputs).map(([name, from]) => {
    const { step, tensor } = sourceOf(from, names)
    return [name, { step: step!, tensor }] as const
  })
  return { inputs: data.inputs, steps: inOrder(steps).ordered, outputs: new Map(outputs) }
}

/** Up to the first dot is a step's name, if there is a step of that name; tensors have dots of their own. */
function sourceOf(from: string, steps: ReadonlySet<string>): TensorSource {
  const dot = from.indexOf('.')
  const step = from.slice(0, Math.max(0, dot))
  return steps.has(step) ? { step, tensor: from.slice(dot + 1) } : { step: undefined, tensor: from }
}

/** As sentences without their full stop. */
function problemsOf({ inputs, steps, outputs }: PipelineFile): string[] {
  const problems: string[] = []
  const names = steps.map(({ name }) => name)
  for (const name of new Set(names.filter((name, i) => names.indexOf(name) !== i)))
    problems.push(`two steps are named "${name}"; give each a name of its own`)
  if (Object.keys(outputs).length === 0) problems.push('"outputs" names no output; a pipeline has at least one')
  const known = new Set(names)
  const taken = new Set<string>()
  const used = new Set<string>()
  const note = (from: string, reader: string): TensorSource => {
    const source = sourceOf(from, known)
    if (source.step !== undefined) {
      used.add(source.step)
      if (source.tensor === '') problems.push(`${reader} is "${from}"; the name of an output is needed after the "."`)
    } else taken.add(source.tensor)
    return source
  }
  for (const step of steps)
    for (const [input, from] of Object.entries(step.inputs)) {
      const { step: of, tensor } = note(from, `input "${input}" of step "${step.name}"`)
      if (of === undefined)
        problems.push(...unknownInput(tensor, `input "${input}" of step "${step.name}"`, inputs, names))
    }
  for (const [output, from] of Object.entries(outputs)) {
    const { step } = note(from, `output "${output}"`)
    if (step !== undefined) continue
    taken.delete(from)
    const near = didYouMean(from.split('.')[0]!, names)
    const remedy = near === undefined ? 'write "<step>.<output>"' : `did you mean step "${near}"`
    problems.push(`output "${output}" is "${from}", which is no step's output; ${remedy}`)
  }
  for (const { name } of inputs ?? []) {
    if (!taken.has(name)) problems.push(`input "${name}" is taken by no step; leave it out`)
    if (known.has(name.split('.')[0]!) && name.includes('.'))
      problems.push(`input "${name}" looks like an output of step "${name.split('.')[0]}"; rename the step`)
  }
  for (const name of known)
    if (!used.has(name)) problems.push(`nothing takes an output of step "${name}"; leave it out`)
  const { cycle } = inOrder(
    steps.map(({ name, inputs }) => ({
      name,
      inputs: new Map(Object.entries(inputs).map(([input, from]) => [input, sourceOf(from, known)])),
    })),
  )
  if (cycle.length > 0)
    problems.push(`the steps ${cycle.join(', ')} wait for each other in a circle; take one out of it`)
  return problems
}

function unknownInput(
  tensor: string,
  reader: string,
  inputs: PipelineFile['inputs'],
  steps: readonly string[],
): string[] {
  if (inputs !== undefined) {
    if (inputs.some(({ name }) => name === tensor)) return []
    const names = inputs.map(({ name }) => name)
    const near = didYouMean(tensor, [...names, ...steps])
    const remedy =
      near === undefined
        ? `The inputs are ${names.join(', ')}, the steps ${steps.join(', ')}`
        : `Did you mean "${near}"`
    return [`${reader} is "${tensor}", which is no input of the pipeline and no step's output. ${remedy}`]
  }
  // Without a list of inputs every other name is one, but hardly one that differs from a step's by a letter.
  const dot = tensor.indexOf('.')
  const near = dot > 0 ? didYouMean(tensor.slice(0, dot), steps) : undefined
  return near === undefined
    ? []
    : [`${reader} is "${tensor}", and there is no step of that name; "${near}" was probably meant`]
}

/** Steps after those whose outputs they take, otherwise as they stand; those of a circle are left over. */
function inOrder<S extends { readonly name: string; readonly inputs: ReadonlyMap<string, TensorSource> }>(
  steps: readonly S[],
): { readonly ordered: S[]; readonly cycle: readonly string[] } {
  const ordered: S[] = []
  const placed = new Set<string>()
  let rest = [...steps]
  while (rest.length > 0) {
    const next = rest.filter(({ inputs }) =>
      [...inputs.values()].every(({ step }) => step === undefined || placed.has(step)),
    )
    if (next.length === 0) return { ordered, cycle: inCircle(rest).map(({ name }) => `"${name}"`) }
    for (const step of next) {
      ordered.push(step)
      placed.add(step.name)
    }
    rest = rest.filter((step) => !next.includes(step))
  }
  return { ordered, cycle: [] }
}

/** Of steps that cannot start, those that are not merely behind a circle. */
function inCircle<S extends { readonly name: string; readonly inputs: ReadonlyMap<string, TensorSource> }>(
  steps: readonly S[],
): readonly S[] {
  const taken = new Set(steps.flatMap(({ inputs }) => [...inputs.values()].map(({ step }) => step)))
  const rest = steps.filter(({ name }) => taken.has(name))
  return rest.length === steps.length ? rest : inCircle(rest)
}

function knownKeys([first, second]: readonly PropertyKey[]): readonly string[] {
  if (first === 'steps') return Object.keys(stepKeys.shape)
  return first === 'inputs' && second !== undefined ? TENSOR_SPEC_KEYS : Object.keys(pipelineKeys.shape)
}
