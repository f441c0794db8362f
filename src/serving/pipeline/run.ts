// One run of a pipeline: each step is called as soon as its inputs are there, and when one fails the others are called off.
import { HeadraceError, toHeadraceError } from '../../core/index.js'
import { shapeText, type Tensor, type TensorMap, type TensorSpec } from '../../tensor/index.js'
import { ServingErrors } from '../errors.js'
import type { Leaf, LeafInput, RunContext } from '../types.js'
import { PipelineErrors } from './errors.js'
import type { Plan, PlannedStep } from './plan.js'
import type { Selection } from './selection.js'

export interface PipelineRunOptions {
  /** The version, as in `search/1`. */
  readonly model: string
  readonly plan: Plan
  readonly selection: Selection
  /** By step; those that do not run have none. */
  readonly leaves: readonly (Leaf | undefined)[]
  readonly inputs: TensorMap
  readonly context: RunContext
  /** Calls that were made are not wanted any more, as their inputs say by now. */
  readonly onCallsCancelled: () => void
}

export class PipelineRun {
  /** Rejects with a HeadraceError. */
  readonly answer: Promise<TensorMap>
  readonly #options: PipelineRunOptions
  /** Outputs by step. */
  readonly #given: (TensorMap | undefined)[]
  readonly #waits: number[]
  #left: number
  /** Of the calls under way. */
  readonly #calls = new Set<LeafInput>()
  readonly #rows: number
  #resolve!: (outputs: TensorMap) => void
  #reject!: (error: HeadraceError) => void
  #isOver = false

  constructor(options: PipelineRunOptions) {
    const { plan, selection, inputs } = options
    this.#options = options
    this.#given = plan.steps.map(() => undefined)
    this.#waits = selection.waits.slice()
    this.#left = selection.count
    this.#rows = plan.signature.batchAxis === 0 ? (inputs.values().next().value?.shape[0] ?? 1) : 1
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (this.#left === 0) this.#answer()
    for (let number = 0; number < this.#waits.length && !this.#isOver; number++)
      if (this.#waits[number] === 0) this.#start(number)
  }

  /** Nobody waits for it any more. */
  cancel(): void {
    this.#end(ServingErrors.CANCELLED({ model: this.#options.model }))
  }

  #start(number: number): void {
    const { plan, selection, leaves, context } = this.#options
    const step = plan.steps[number]!
    try {
      const tensors = this.#inputsOf(step)
      const rows = step.isBatched ? (tensors.values().next().value?.shape[0] ?? 1) : 1
      const outputs = selection.outputs[number]!
      const { priority = 'normal', deadline } = context
      const input: LeafInput = { tensors, rows, outputs, cancelled: false, priority, feedsLastKnown: false }
      this.#calls.add(input)
      leaves[number]!.call(input, deadline).then(
        (result) => this.#finished(number, input, result.outputs),
        (error: unknown) => this.#failed(step, input, error),
      )
    } catch (error) {
      this.#end(this.#errorOf(step, error))
    }
  }

  #inputsOf({ inputs }: PlannedStep): TensorMap {
    const tensors = new Map<string, Tensor>()
    for (let i = 0; i < inputs.length; i++) {
      const { input, from, tensor } = inputs[i]!
      const source = (from === -1 ? this.#options.inputs : this.#given[from]!).get(tensor)
      // An optional input that did not come.
      if (source === undefined) continue
      const { datatype, shape, data } = source
      tensors.set(input, source.name === input ? source : { name: input, datatype, shape, data })
    }
    return tensors
  }

  #finished(number: number, input: LeafInput, outputs: TensorMap): void {
    this.#calls.delete(input)
    if (this.#isOver) return
    const { plan, selection } = this.#options
    try {
      this.#checkRows(plan.steps[number]!, outputs)
      this.#given[number] = outputs
      const takers = selection.takers[number]!
      for (let i = 0; i < takers.length && !this.#isOver; i++)
        if (--this.#waits[takers[i]!]! === 0) this.#start(takers[i]!)
      if (--this.#left === 0 && !this.#isOver) this.#answer()
    } catch (error) {
      this.#end(toHeadraceError(error))
    }
  }

  #failed(step: PlannedStep, input: LeafInput, error: unknown): void {
    this.#calls.delete(input)
    this.#end(this.#errorOf(step, error))
  }

  #end(error: HeadraceError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#reject(error)
    if (this.#calls.size === 0) return
    for (const input of this.#calls) input.cancelled = true
    this.#options.onCallsCancelled()
  }

  #answer(): void {
    const { model, plan, context } = this.#options
    const specs = plan.signature.outputs
    const outputs = new Map<string, Tensor>()
    for (const name of context.outputs ?? specs.map((spec) => spec.name)) {
      const place = plan.outputs.findIndex((output) => output.name === name)
      const { step, tensor } = plan.outputs[place]!
      const { datatype, shape, data } = this.#given[step]!.get(tensor)!
      const problem = mismatch(specs[place]!, datatype, shape)
      if (problem !== undefined)
        throw PipelineErrors.OUTPUT_INVALID({ model, step: plan.steps[step]!.title, output: tensor, problem })
      outputs.set(name, { name, datatype, shape, data })
    }
    this.#isOver = true
    this.#resolve(outputs)
  }

  /** A step that drops or makes up rows would give callers the answers of others. */
  #checkRows({ title: step }: PlannedStep, outputs: TensorMap): void {
    const { model, plan } = this.#options
    if (plan.signature.batchAxis === null) return
    for (const [output, { shape }] of outputs)
      if (shape[0] !== this.#rows) throw PipelineErrors.ROWS_CHANGED({ model, step, output, rows: this.#rows, shape })
  }

  /** What the step failed with, naming it. */
  #errorOf(step: PlannedStep, thrown: unknown): HeadraceError {
    const { model } = this.#options
    const error = toHeadraceError(thrown)
    const { code, message, status, retry, level, params } = error
    if (code.startsWith('TENSOR_')) {
      // It speaks of the step's input, which callers do not know by that name.
      const refused = step.inputs.find(({ input }) => input === params['input'])
      const isCallers = refused === undefined || refused.from === -1
      if (isCallers)
        return PipelineErrors.INPUT_REFUSED(
          { model, step: step.title, input: refused?.tensor ?? '', reason: message },
          error,
        )
      const { steps } = this.#options.plan
      const source = `${steps[refused.from]!.name}.${refused.tensor}`
      return PipelineErrors.STEP_INPUT_INVALID({ model, step: step.title, source, reason: message }, error)
    }
    const text = `In the pipeline ${model}, ${step.title} failed: ${message}`
    return new HeadraceError(code, text, status, retry, level, { ...params, pipeline: model, step: step.name }, error)
  }
}

function mismatch(spec: TensorSpec, datatype: string, shape: readonly number[]): string | undefined {
  if (datatype !== spec.datatype) return `it is ${datatype}, not ${spec.datatype}`
  const fits =
    shape.length === spec.shape.length &&
    shape.every((size, axis) => spec.shape[axis] === -1 || spec.shape[axis] === size)
  return fits ? undefined : `its shape is ${shapeText(shape)}, not ${shapeText(spec.shape)}`
}
