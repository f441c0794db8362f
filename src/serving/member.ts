// A call waiting for its answer, as the batcher holds it: one object per call, linked into its queue.
// A request with more rows than a batch may have is a `Whole` whose parts are members of their own.
import type { HeadraceError } from '../core/index.js'
import type { Deadline } from '../flow/index.js'
import { RowsInPieces, sliceRows, type Tensor, type TensorMap } from '../tensor/index.js'
import type { LeafInput, LeafResult } from './types.js'

export class Member {
  /** Its place in its lane: the deadline, or when it has aged if that is sooner. Monotonic milliseconds. */
  dueMs = 0
  /** Number of its arrival in the queue, which decides between equals. */
  order = 0
  /** It is about to leave its lane. */
  isTaken = false
  isAnswered = false
  /** It was let in behind full runs because it was expected in time. */
  isExpectedInTime = false
  /** A run of it was lost with its process. */
  isLost = false
  /** The batch of several that failed with this member in it, until it is known who was guilty. */
  inquest: Inquest | undefined = undefined

  constructor(
    readonly input: LeafInput,
    readonly tensors: TensorMap,
    readonly rows: number,
    readonly deadline: Deadline,
    /** 0, 1 and 2 from high to low. */
    readonly priority: number,
    /** Monotonic milliseconds. */
    readonly arrivedMs: number,
    readonly resolve: (result: LeafResult) => void,
    readonly reject: (error: HeadraceError) => void,
    /** The request that this is a part of. */
    readonly whole: Whole | undefined,
  ) {}
}

/** Follows the members of a failed batch through their re-runs: did anyone fail alone? */
export interface Inquest {
  unknown: number
  guilty: number
}

/** Hands out its parts one at a time: the next one queues behind whoever arrived while the last one waited. */
export class Whole {
  /** By output. */
  #joined: Map<string, RowsInPieces> | undefined = undefined
  #isFitting = true
  /** Of the part that starts first. */
  #queueMs = 0
  #batchRows = 0
  readonly #parts: Member[] = []
  #handedRows = 0
  #answeredRows = 0

  constructor(
    readonly member: Member,
    private readonly maxPartRows: number,
  ) {}

  get isComplete(): boolean {
    return this.#answeredRows === this.member.rows
  }

  nextPart(): Member | undefined {
    const { member } = this
    const start = this.#handedRows
    const rows = Math.min(this.maxPartRows, member.rows - start)
    if (rows === 0) return undefined
    this.#handedRows += rows
    const tensors = new Map<string, Tensor>()
    for (const [name, tensor] of member.tensors) tensors.set(name, sliceRows(tensor, start, rows))
    const settle = (result: LeafResult): void => {
      this.#isFitting &&= this.#put(result.outputs, start, rows)
      if (start === 0) this.#queueMs = result.queueMs
      this.#batchRows = Math.max(this.#batchRows, result.batchRows)
      this.#answeredRows += rows
    }
    const { input, deadline, priority, arrivedMs, reject } = member
    const part = new Member(input, tensors, rows, deadline, priority, arrivedMs, settle, reject, this)
    this.#parts.push(part)
    return part
  }

  /** Nothing of this request is to run any more: its parts, wherever they are, count as answered. Returns the rows in no part. */
  end(): number {
    for (const part of this.#parts) part.isAnswered = true
    return this.member.rows - this.#handedRows
  }

  /** The parts' outputs joined in order; undefined when they do not fit together. */
  result(nowMs: number): LeafResult | undefined {
    if (!this.#isFitting) return undefined
    const outputs = new Map<string, Tensor>()
    for (const [name, { tensor }] of this.#joined!) outputs.set(name, tensor)
    return {
      outputs,
      queueMs: this.#queueMs,
      computeMs: nowMs - this.member.arrivedMs - this.#queueMs,
      batchRows: this.#batchRows,
    }
  }

  #put(outputs: TensorMap, start: number, rows: number): boolean {
    if (this.#joined === undefined) {
      this.#joined = new Map()
      for (const [name, tensor] of outputs) this.#joined.set(name, new RowsInPieces(tensor, this.member.rows))
    }
    for (const [name, joined] of this.#joined) {
      const piece = outputs.get(name)
      if (piece === undefined || !joined.put(piece, start, rows)) return false
    }
    return true
  }
}
