// How calls of one version become one run and come out of it again: which of them may share one, what the backend is given, and
// which rows are whose. A model that turns out not to keep its rows apart is never given two calls at once again.
import type { HeadraceError, Logger } from '../core/index.js'
import { type BatchingOptions, type Signature, shapeText, type TensorMap } from '../tensor/index.js'
import { CostModels } from './cost-model.js'
import { brokenOutput, cutOutputs, joinInputs, pickOutputs, unbatchedOutput } from './joined.js'
import type { Member } from './member.js'
import { Padding } from './padding.js'
import type { Run } from './runs.js'
import { createShapeKey, type ShapeKey } from './shape-key.js'
import type { VersionErrors } from './version-errors.js'

/** Batches in a row that failed though each of their members then succeeded alone: after these, members run alone. */
const BASELESS_FAILURES = 2

export class Joining {
  /** What callers send: the backend's, but for what padding fills in. */
  readonly signature: Signature
  readonly #outputNames: readonly string[]
  readonly #padding: Padding | undefined
  readonly #shapeKey: (tensors: TensorMap) => ShapeKey
  readonly #hasOneShape: boolean
  readonly #allowedSizes: readonly number[]
  readonly #repeatsRows: boolean
  #canJoin: boolean
  #baselessFailures = 0

  constructor(
    signature: Signature,
    batching: BatchingOptions,
    private readonly errors: VersionErrors,
    private readonly logger: Logger,
  ) {
    const { model } = errors.version
    const { padding, enabled, allowedBatchSizes = [], padRows } = batching
    this.#padding = padding !== undefined && enabled ? new Padding(model, padding, signature) : undefined
    this.signature = this.#padding?.signature ?? signature
    this.#outputNames = signature.outputs.map((spec) => spec.name)
    this.#shapeKey = createShapeKey(signature, this.#padding)
    this.#hasOneShape = signature.inputs.every(({ shape }) => shape.every((size, axis) => axis === 0 || size !== -1))
    this.#allowedSizes = allowedBatchSizes
    this.#repeatsRows = padRows !== 'zeros'
    this.#canJoin = enabled && signature.batchAxis === 0 && signature.inputs.every(({ shape }) => shape[0] === -1)
  }

  /** Whether a run may have several calls. */
  get canJoin(): boolean {
    return this.#canJoin
  }

  /** Inputs of a call with what it may leave out. Throws SERVING_LENGTHS_DIFFER. */
  complete(tensors: TensorMap): TensorMap {
    return this.#padding === undefined ? tensors : this.#padding.complete(tensors)
  }

  /** Calls of one key may share a run. Without joining there are no groups, and only who is due first counts. */
  keyOf(tensors: TensorMap): ShapeKey {
    return this.#canJoin ? this.#shapeKey(tensors) : 0
  }

  /** The bucket of the cost model. */
  bucketOf(tensors: TensorMap, rows: number): number {
    if (this.#hasOneShape) return 0
    let elements = 0
    for (const { data } of tensors.values()) elements += data.length
    return CostModels.bucket(elements / rows)
  }

  /** Rows that the backend is given for this many: the next size that is allowed. */
  readonly sizeOf = (rows: number): number => {
    const allowed = this.#allowedSizes
    for (let i = 0; i < allowed.length; i++) if (allowed[i]! >= rows) return allowed[i]!
    return rows
  }

  /** How long the inputs of a run are made; 0 where lengths are left as they are. */
  lengthOf(members: readonly Member[]): number {
    const padding = this.#padding
    if (padding === undefined) return 0
    let longest = 0
    for (let i = 0; i < members.length; i++) longest = Math.max(longest, padding.lengthOf(members[i]!.tensors))
    return padding.roundUp(longest)
  }

  /** What the backend is given. */
  inputsOf({ members, rows, size, length }: Run): TensorMap {
    const padding = this.#padding
    if (padding === undefined && members.length === 1 && size === rows) return members[0]!.tensors
    const inputs: TensorMap[] = new Array(members.length)
    for (let i = 0; i < members.length; i++) {
      const { tensors } = members[i]!
      inputs[i] = padding === undefined ? tensors : padding.stretch(tensors, length)
    }
    return joinInputs(inputs, size - rows, this.#repeatsRows)
  }

  /**
   * Whether a run's outputs can be cut by rows; when not, its members have to run again, each alone. Throws SERVING_OUTPUT_MISMATCH
   * for outputs that nobody can be given.
   */
  check(run: Run, outputs: TensorMap): boolean {
    const names = run.outputs ?? this.#outputNames
    const broken = brokenOutput(outputs, names)
    if (broken !== undefined) throw this.errors.outputMismatch(broken.output, broken.detail)
    const isAlone = this.#isAlone(run)
    const unbatched =
      isAlone && run.members[0]!.whole === undefined ? undefined : unbatchedOutput(outputs, names, run.size)
    if (unbatched !== undefined) {
      const detail = `${run.size} rows went in and its shape is ${shapeText(unbatched.shape)}`
      this.#stop(this.errors.outputMismatch(unbatched.output, detail))
      return false
    }
    if (!isAlone) this.#baselessFailures = 0
    return true
  }

  /** A member's part of the outputs, from the row `start`. Throws when outputs have other lengths than padding rules say. */
  cut(run: Run, outputs: TensorMap, member: Member, start: number): TensorMap {
    const names = member.input.outputs ?? this.#outputNames
    const padding = this.#padding
    if (padding !== undefined)
      return padding.cut(outputs, names, start, member.rows, run.length, padding.lengthOf(member.tensors))
    return this.#isAlone(run) ? pickOutputs(outputs, names) : cutOutputs(outputs, names, start, member.rows)
  }

  /** The parts of one request do not fit together again. */
  partsDiffer(): void {
    this.#stop(this.errors.outputMismatch(this.#outputNames[0]!, 'parts of one request gave rows of different shapes'))
  }

  /** A batch failed and each of its calls succeeded alone. A model that keeps doing so has a fixed batch size inside, whatever its signature says. */
  failedBaselessly(): void {
    if (++this.#baselessFailures >= BASELESS_FAILURES)
      this.#stop(this.errors.runFailed('batches fail although every call in them succeeds alone'))
  }

  /** The backend's answer is the member's own. */
  #isAlone({ members, size, rows }: Run): boolean {
    return members.length === 1 && size === rows && this.#padding === undefined
  }

  #stop(cause: HeadraceError): void {
    if (!this.#canJoin) return
    this.#canJoin = false
    const { model, version } = this.errors.version
    this.logger.warn({ err: cause }, `Model ${model}/${version} runs each call alone from now on.`)
  }
}
