// A version that is made of others. It computes nothing and holds nothing back: each call runs at once and by itself, and rows are
// joined where that pays, in the batchers of the steps, with whatever else those versions are asked.
import type { Signature, TensorMap } from '../../tensor/index.js'
import type { Backend, RunContext } from '../types.js'
import { PipelineErrors } from './errors.js'
import type { Plan } from './plan.js'
import { PipelineRun } from './run.js'
import { type Selection, select } from './selection.js'
import type { StepVersions } from './step-versions.js'

/** More at once than a server lets in. */
const CONCURRENCY = 65_536
/** The plan and what runs keep of it; the steps' memory is their own. */
const MEMORY_BYTES = 16 * 1024
/** Sets of outputs that are asked for again and again are few. */
const MAX_SELECTIONS = 64

export interface PipelineBackendOptions {
  /** The version, as in `search/1`. */
  readonly model: string
  readonly plan: Plan
  readonly versions: StepVersions
  readonly onCallsCancelled: () => void
}

export class PipelineBackend implements Backend {
  readonly signature: Signature
  readonly concurrency = CONCURRENCY
  readonly labels = undefined
  readonly isolation = 'steps'
  readonly joinsCalls = false
  readonly #options: PipelineBackendOptions
  readonly #all: Selection
  readonly #selections = new Map<string, Selection>()
  readonly #runs = new Map<PipelineRun, RunContext>()
  #whenIdle: (() => void) | undefined
  #closing: Promise<void> | undefined

  constructor(options: PipelineBackendOptions) {
    this.#options = options
    this.signature = options.plan.signature
    this.#all = select(options.plan, undefined)
  }

  async run(batch: TensorMap, context: RunContext): Promise<TensorMap> {
    const { model, plan, versions, onCallsCancelled } = this.#options
    if (this.#closing) throw PipelineErrors.CLOSED({ model })
    const selection = this.#selectionOf(context.outputs)
    const leaves = versions.leaves(selection.waits)
    const run = new PipelineRun({ model, plan, selection, leaves, inputs: batch, context, onCallsCancelled })
    this.#runs.set(run, context)
    try {
      return await run.answer
    } finally {
      this.#runs.delete(run)
      if (this.#runs.size === 0) this.#whenIdle?.()
    }
  }

  abandon(context: RunContext): void {
    for (const [run, other] of this.#runs) if (other === context) run.cancel()
  }

  onHealth(listener: (reason: string | undefined) => void): void {
    this.#options.versions.onHealth(listener)
  }

  memoryBytes(): number {
    return MEMORY_BYTES
  }

  /** Runs under way finish first. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#runs.size > 0)
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    this.#options.versions.close()
  }

  #selectionOf(names: readonly string[] | undefined): Selection {
    if (names === undefined) return this.#all
    const key = names.join('\0')
    let selection = this.#selections.get(key)
    if (selection === undefined) {
      selection = select(this.#options.plan, names)
      if (this.#selections.size === MAX_SELECTIONS) this.#selections.clear()
      this.#selections.set(key, selection)
    }
    return selection
  }
}
