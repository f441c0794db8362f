// A loaded ONNX version. Whether its session lives on the main thread or in another is behind `Session`; what a caller may send
// and what comes back is the same.
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import type { Signature, Tensor, TensorMap } from '../../tensor/index.js'
import type { Backend, RunContext } from '../types.js'
import { buffersOf, stringsOf } from './bytes.js'
import { OnnxErrors } from './errors.js'
import { OnnxFailure } from './failure.js'
import type { RawTensor } from './session.js'

/** Runs raw tensors; `release` is called once, between runs. */
export interface Session {
  /**
   * `wanted` are indices of outputs; memory of inputs that are owned may be given away. A session of this thread answers at once;
   * it throws where another's rejects.
   */
  run(
    inputs: readonly RawTensor[],
    wanted: readonly number[] | undefined,
    isOwned: boolean,
  ): RawTensor[] | Promise<RawTensor[]>
  release(): Promise<void>
}

/** What loading measured, in milliseconds; run times are medians of up to five. */
export interface WarmUpReport {
  readonly createMs: number
  /** Undefined when no test run succeeded. */
  readonly batch1Ms: number | undefined
  readonly largestBatchMs: number | undefined
}

export interface OnnxBackend extends Backend {
  readonly warmUp: WarmUpReport
  /** What it runs on, in order of preference: execution providers of ONNX Runtime. */
  readonly providers: readonly string[]
  /** Why rows of several requests are not joined, when `signature.batchAxis` is null. */
  readonly notBatchedBecause: string | undefined
  /** Set once the version's thread has died; every run rejects with it until the version is loaded anew. */
  readonly failure: HeadraceError | undefined
}

export interface SessionBackendOptions {
  /** The version, as in `fraud/2`. */
  readonly model: string
  readonly session: Session
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly isolation: 'inline' | 'thread'
  readonly providers: readonly string[]
  readonly warmUp: WarmUpReport
  readonly notBatchedBecause: string | undefined
  readonly memoryBytes: number
  readonly onClosed: () => void
}

export class SessionBackend implements OnnxBackend {
  readonly concurrency = 1
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly isolation: 'inline' | 'thread'
  readonly providers: readonly string[]
  readonly warmUp: WarmUpReport
  readonly notBatchedBecause: string | undefined
  readonly #model: string
  readonly #session: Session
  readonly #memoryBytes: number
  readonly #onClosed: () => void
  #running = 0
  #whenIdle: (() => void) | undefined
  #closing: Promise<void> | undefined
  #failure: HeadraceError | undefined

  constructor(options: SessionBackendOptions) {
    this.signature = options.signature
    this.labels = options.labels
    this.isolation = options.isolation
    this.providers = options.providers
    this.warmUp = options.warmUp
    this.notBatchedBecause = options.notBatchedBecause
    this.#model = options.model
    this.#session = options.session
    this.#memoryBytes = options.memoryBytes
    this.#onClosed = options.onClosed
  }

  get failure(): HeadraceError | undefined {
    return this.#failure
  }

  /** Every run rejects from now on. */
  fail(error: HeadraceError): void {
    this.#failure ??= error
  }

  async run(batch: TensorMap, { outputs, ownsBatch = false }: RunContext): Promise<TensorMap> {
    if (this.#failure) throw this.#failure
    if (this.#closing) throw OnnxErrors.CLOSED({ model: this.#model })
    this.#running++
    try {
      const wanted = outputs && this.#indices(outputs)
      const running = this.#session.run(this.#toRaw(batch), wanted, ownsBatch)
      return this.#toMap(Array.isArray(running) ? running : await running, wanted)
    } catch (error) {
      throw onnxError(error, this.#model)
    } finally {
      if (--this.#running === 0) this.#whenIdle?.()
    }
  }

  memoryBytes(): number {
    return this.#memoryBytes
  }

  /** Runs under way finish first. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
    await this.#session.release()
    this.#onClosed()
  }

  #indices(names: readonly string[]): number[] {
    const { outputs } = this.signature
    const indices: number[] = []
    for (const name of names) {
      const index = outputs.findIndex((output) => output.name === name)
      if (!indices.includes(index)) indices.push(index)
    }
    return indices
  }

  #toRaw(batch: TensorMap): RawTensor[] {
    const raw: RawTensor[] = []
    for (const { name } of this.signature.inputs) {
      const { shape, data } = batch.get(name)!
      raw.push({ shape, data: Array.isArray(data) ? stringsOf(name, data) : data })
    }
    return raw
  }

  #toMap(raw: readonly RawTensor[], wanted: readonly number[] | undefined): TensorMap {
    const map = new Map<string, Tensor>()
    for (let i = 0; i < raw.length; i++) {
      const { name, datatype } = this.signature.outputs[wanted?.[i] ?? i]!
      const { shape, data } = raw[i]!
      map.set(name, { name, datatype, shape, data: Array.isArray(data) ? buffersOf(data) : data })
    }
    return map
  }
}

/** A failure as the table's error; anything else unforeseen as CORE_INTERNAL. */
export function onnxError(error: unknown, model: string): HeadraceError {
  if (!(error instanceof OnnxFailure)) return toHeadraceError(error)
  const { key, params } = error.failure
  const make = OnnxErrors[key] as (params: object) => HeadraceError
  return make({ model, ...params })
}
