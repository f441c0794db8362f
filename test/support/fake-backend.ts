// A backend without a model: it doubles numbers, on virtual time, as a script says. For tests of what stands on top of backends.
// Its runs are held until the test ends them, unless `runMs` gives them a length.
import type { Clock, Digest, ModelName } from '../../src/core/index.js'
import type { Backend, BackendFactory, LeafInput, RunContext, RunsIn } from '../../src/serving/index.js'
import {
  allocate,
  type ModelManifest,
  type Signature,
  type Tensor,
  type TensorMap,
  type VersionArtifact,
} from '../../src/tensor/index.js'

/** Input `x` of any width; outputs `double`, of the same shape, and `sum`, a number per row. */
export const DOUBLER: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
  outputs: [
    { name: 'double', datatype: 'FP32', shape: [-1, -1] },
    { name: 'sum', datatype: 'FP32', shape: [-1] },
  ],
  batchAxis: 0,
}

export interface FakeRun {
  readonly batch: TensorMap
  /** First size of the first input. */
  readonly rows: number
  readonly context: RunContext
  readonly startedMs: number
  readonly isDone: boolean
  /** Ends the run with what `compute` says. */
  finish(): void
  answer(outputs: TensorMap): void
  fail(error: unknown): void
}

export interface FakeBackendOptions {
  readonly clock: Clock
  readonly signature?: Signature
  readonly concurrency?: number
  readonly isolation?: RunsIn
  readonly labels?: readonly string[]
  /** May throw; default `computeDouble`. */
  readonly compute?: (batch: TensorMap) => TensorMap
  /** Length of a run in milliseconds, or for each run its length, 'hold' (until the test ends it) or the error it fails with. */
  readonly runMs?: number | ((run: FakeRun, number: number) => number | 'hold' | Error)
}

export class FakeBackend implements Backend {
  readonly signature: Signature
  concurrency: number
  readonly isolation: RunsIn
  readonly labels: readonly string[] | undefined
  /** Every run so far, oldest first. */
  readonly runs: FakeRun[] = []
  isClosed = false
  readonly #options: FakeBackendOptions

  constructor(options: FakeBackendOptions) {
    this.#options = options
    this.signature = options.signature ?? DOUBLER
    this.concurrency = options.concurrency ?? 1
    this.isolation = options.isolation ?? 'thread'
    this.labels = options.labels
  }

  /** Runs that have not ended. */
  get pending(): FakeRun[] {
    return this.runs.filter((run) => !run.isDone)
  }

  run(batch: TensorMap, context: RunContext): Promise<TensorMap> {
    const { clock, compute = computeDouble, runMs = 'hold' } = this.#options
    return new Promise((resolve, reject) => {
      const run = {
        batch,
        rows: batch.values().next().value!.shape[0]!,
        context,
        startedMs: clock.monotonicMs(),
        isDone: false,
        finish() {
          try {
            run.answer(onlyWanted(compute(batch), context.outputs))
          } catch (error) {
            run.fail(error)
          }
        },
        answer(outputs: TensorMap) {
          run.isDone = true
          resolve(outputs)
        },
        fail(error: unknown) {
          run.isDone = true
          reject(error)
        },
      }
      this.runs.push(run)
      const length = typeof runMs === 'function' ? runMs(run, this.runs.length) : runMs
      if (length instanceof Error) run.fail(length)
      else if (length === 0) run.finish()
      else if (length !== 'hold') clock.after(length, () => run.finish())
    })
  }

  memoryBytes(): number {
    return 1
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

export function computeDouble(batch: TensorMap): TensorMap {
  const { shape, data } = batch.get('x')!
  const x = data as Float32Array
  const rows = shape[0]!
  const width = x.length / rows
  const sum = allocate('FP32', rows)
  for (let i = 0; i < x.length; i++) sum[Math.floor(i / width)]! += x[i]!
  return tensors(
    { name: 'double', datatype: 'FP32', shape, data: x.map((value) => 2 * value) },
    { name: 'sum', datatype: 'FP32', shape: [rows], data: sum },
  )
}

export function tensors(...list: Tensor[]): TensorMap {
  return new Map(list.map((tensor) => [tensor.name, tensor]))
}

/** A call's input from rows of equal width: `doublerInput([[1, 2], [3, 4]])`. */
export function doublerInput(rows: readonly (readonly number[])[], outputs?: readonly string[]): LeafInput {
  const data = Float32Array.from(rows.flat())
  const x: Tensor = { name: 'x', datatype: 'FP32', shape: [rows.length, rows[0]!.length], data }
  return { tensors: tensors(x), rows: rows.length, outputs, cancelled: false }
}

export function fakeManifest(
  parts: Omit<Partial<ModelManifest>, 'batching'> & { batching?: Partial<ModelManifest['batching']> } = {},
): ModelManifest {
  return {
    description: '',
    features: undefined,
    labels: undefined,
    outputs: {},
    isolation: 'auto',
    timeoutMs: 30_000,
    warmup: [],
    trained: undefined,
    ...parts,
    batching: { enabled: true, maxBatchSize: 32, maxDelayMs: 10, maxQueueRows: 1024, ...parts.batching },
  }
}

/** An artifact without files, for a backend kind `fake`. */
export function fakeArtifact(model: string, version: number, parts: Partial<VersionArtifact> = {}): VersionArtifact {
  return {
    ref: { model: model as ModelName, version },
    backend: 'fake',
    digest: `sha256:${version.toString(16).padStart(64, '0')}` as Digest,
    file: `${model}/${version}/model.fake`,
    sizeBytes: 1,
    manifest: fakeManifest(),
    ...parts,
  }
}

/** For `createPool({ factories: fakeFactories(() => new FakeBackend({ clock, runMs: 0 })) })`. */
export function fakeFactories(
  create: (artifact: VersionArtifact) => Backend | Promise<Backend>,
): Map<string, BackendFactory> {
  return new Map([['fake', async (artifact) => create(artifact)]])
}

/** Ends turns of the event loop by hand: give `defer` to what defers work, and call `end`. */
export class Turns {
  #due: (() => void)[] = []
  readonly defer = (callback: () => void): void => {
    this.#due.push(callback)
  }

  end(): void {
    for (const callback of this.#due.splice(0)) callback()
  }
}

/** Lets every promise that can go on do so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function onlyWanted(outputs: TensorMap, names: readonly string[] | undefined): TensorMap {
  return names === undefined ? outputs : new Map(names.map((name) => [name, outputs.get(name)!]))
}
