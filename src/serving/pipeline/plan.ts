// A pipeline held against the signatures of its steps: what it takes and gives, and which tensor goes where. Every problem is found
// at once, because a pipeline is corrected by publishing another version.
import { didYouMean, type VersionRef, versionKey } from '../../core/index.js'
import { type PipelineModel, type Signature, shapeText, type TensorSpec } from '../../tensor/index.js'

export interface PlannedInput {
  /** Of the step's model. */
  readonly input: string
  /** Number of the step that gives it; -1 for an input of the pipeline. */
  readonly from: number
  /** Its name there. */
  readonly tensor: string
}

export interface PlannedStep {
  readonly name: string
  readonly ref: VersionRef
  /** `step "rank" (rank/3)`, for messages. */
  readonly title: string
  readonly isBatched: boolean
  readonly inputs: readonly PlannedInput[]
}

export interface Plan {
  readonly signature: Signature
  /** Each after those whose outputs it takes. */
  readonly steps: readonly PlannedStep[]
  /** In the order of the signature. */
  readonly outputs: readonly { readonly name: string; readonly step: number; readonly tensor: string }[]
}

export function stepTitle(name: string, ref: VersionRef): string {
  return `step "${name}" (${versionKey(ref)})`
}

/** `signatures` are those of the steps, in their order. Problems are sentences without their full stop. */
export function planPipeline(
  pipeline: PipelineModel,
  signatures: readonly Signature[],
): { readonly plan: Plan } | { readonly problems: readonly string[] } {
  const problems: string[] = []
  const numbers = new Map(pipeline.steps.map(({ name }, number) => [name, number]))
  const inputs = new Inputs(pipeline.inputs, problems)

  const outputOf = (step: number, tensor: string, reader: string): TensorSpec | undefined => {
    const { name } = pipeline.steps[step]!
    const known = signatures[step]!.outputs
    const spec = known.find((output) => output.name === tensor)
    if (spec === undefined) problems.push(`${reader} is "${name}.${tensor}", but ${unknown('output', tensor, known)}`)
    return spec
  }

  const steps = pipeline.steps.map(({ name, model, version, inputs: sources }, number): PlannedStep => {
    const title = stepTitle(name, { model, version })
    const signature = signatures[number]!
    const planned: PlannedInput[] = []
    for (const [input, source] of sources) {
      const reader = `input "${input}" of ${title}`
      const spec = signature.inputs.find((other) => other.name === input)
      if (spec === undefined) {
        problems.push(`${title} is given "${input}", but ${unknown('input', input, signature.inputs)}`)
        continue
      }
      const from = source.step === undefined ? -1 : numbers.get(source.step)!
      planned.push({ input, from, tensor: source.tensor })
      if (from === -1) inputs.take(source.tensor, spec, reader)
      else {
        const given = outputOf(from, source.tensor, reader)
        if (given !== undefined && (given.datatype !== spec.datatype || unify(given.shape, spec.shape) === undefined))
          problems.push(`${reader} takes ${textOf(spec)}, but "${source.step}.${source.tensor}" is ${textOf(given)}`)
      }
    }
    for (const { name: input, isOptional } of signature.inputs)
      if (isOptional !== true && !sources.has(input)) problems.push(`${title} is not given its input "${input}"`)
    return { name, ref: { model, version }, title, isBatched: signature.batchAxis === 0, inputs: planned }
  })

  const outputs = [...pipeline.outputs].map(([name, source]) => ({
    name,
    step: numbers.get(source.step)!,
    tensor: source.tensor,
  }))
  const outputSpecs = outputs.map(({ name, step, tensor }): TensorSpec | undefined => {
    const spec = outputOf(step, tensor, `output "${name}"`)
    return spec && { name, datatype: spec.datatype, shape: spec.shape }
  })
  const inputSpecs = inputs.specs()
  if (problems.length > 0) return { problems }
  const all = [...inputSpecs, ...(outputSpecs as TensorSpec[])]
  const isBatched = steps.every((step) => step.isBatched) && all.every(({ shape }) => shape[0] === -1)
  const signature: Signature = {
    inputs: inputSpecs,
    outputs: outputSpecs as TensorSpec[],
    batchAxis: isBatched ? 0 : null,
  }
  return { plan: { signature, steps, outputs } }
}

/** Inputs of the pipeline: as its file says, or else as its steps take them. */
class Inputs {
  readonly #found = new Map<string, { spec: TensorSpec; readonly reader: string }>()

  constructor(
    private readonly declared: readonly TensorSpec[] | undefined,
    private readonly problems: string[],
  ) {}

  /** A step takes the input of that name as `spec`. */
  take(name: string, { datatype, shape, isOptional }: TensorSpec, reader: string): void {
    const declared = this.declared?.find((spec) => spec.name === name)
    if (declared !== undefined) {
      const given = `the pipeline's input "${name}"`
      if (declared.datatype !== datatype || unify(declared.shape, shape) === undefined)
        this.problems.push(`${reader} takes ${textOf({ name, datatype, shape })}, but ${given} is ${textOf(declared)}`)
      else if (declared.isOptional === true && isOptional !== true)
        this.problems.push(`${reader} is needed, but ${given} is optional`)
      return
    }
    const found = this.#found.get(name)
    if (found === undefined) {
      const spec = { name, datatype, shape, ...(isOptional === true ? { isOptional } : {}) }
      this.#found.set(name, { spec, reader })
      return
    }
    const both = found.spec.datatype === datatype ? unify(found.spec.shape, shape) : undefined
    if (both === undefined)
      this.problems.push(
        `${found.reader} takes "${name}" as ${textOf(found.spec)} and ${reader} as ${textOf({ name, datatype, shape })}, which no tensor is`,
      )
    else {
      const isStillOptional = found.spec.isOptional === true && isOptional === true
      found.spec = { name, datatype, shape: both, ...(isStillOptional ? { isOptional: true } : {}) }
    }
  }

  specs(): readonly TensorSpec[] {
    return this.declared ?? [...this.#found.values()].map(({ spec }) => spec)
  }
}

/** The shape of what fits both; undefined when nothing does. */
function unify(one: readonly number[], other: readonly number[]): readonly number[] | undefined {
  if (one.length !== other.length) return undefined
  if (one.some((size, axis) => size !== -1 && other[axis] !== -1 && size !== other[axis])) return undefined
  return one.map((size, axis) => (size === -1 ? other[axis]! : size))
}

function textOf({ datatype, shape }: TensorSpec): string {
  return `${datatype} ${shapeText(shape)}`
}

function unknown(what: 'input' | 'output', name: string, known: readonly TensorSpec[]): string {
  const names = known.map((spec) => spec.name)
  const near = didYouMean(name, names)
  return `its model has no such ${what}; ${near === undefined ? `it has ${names.join(', ')}` : `did you mean "${near}"`}`
}
