// A version in one process or several, used like one backend. A process that ends takes its own runs with it; whether they run again
// is the batcher's business, which knows whose rows they are.
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import type { Signature, Tensor, TensorMap } from '../../tensor/index.js'
import type { Backend, RunContext } from '../types.js'
import { ModelProcessErrors } from './errors.js'
import type { FrameTensor } from './frames.js'
import { type Hosted, ProcessDown } from './hosted.js'
import { ProcessEnded } from './model-process.js'

export interface ProcessBackendOptions {
  /** The version, as in `fraud/2`. */
  readonly model: string
  readonly group: string
  /** One per instance. */
  readonly hosted: readonly Hosted[]
  readonly timeoutMs: number
  readonly sizeBytes: number
  readonly onClosed: () => void
}

export class ProcessBackend implements Backend {
  readonly isolation = 'process'
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly providers?: readonly string[]
  readonly #options: ProcessBackendOptions
  readonly #outputs = new Map<string, number>()
  #running = 0
  #whenIdle: (() => void) | undefined
  #closing: Promise<void> | undefined
  #listener: ((reason: string | undefined) => void) | undefined
  #wasUp = true

  constructor(options: ProcessBackendOptions) {
    this.#options = options
    const { signature, labels, providers } = options.hosted[0]!.loaded
    this.signature = signature
    this.labels = labels
    if (providers !== undefined) this.providers = providers
    for (const [i, { name }] of signature.outputs.entries()) this.#outputs.set(name, i)
    for (const hosted of options.hosted) hosted.onChange = () => this.#changed()
  }

  /** Processes that are there, and one when none is: its run waits for it. */
  get concurrency(): number {
    return Math.max(
      1,
      this.#options.hosted.reduce((count, { isUp }) => count + (isUp ? 1 : 0), 0),
    )
  }

  get refusal(): string | undefined {
    return this.#isUp ? undefined : `its process is being started again: ${this.#options.hosted[0]!.reason}`
  }

  onHealth(listener: (reason: string | undefined) => void): void {
    this.#listener = listener
  }

  async run(batch: TensorMap, { deadline, outputs }: RunContext): Promise<TensorMap> {
    const { model, group, timeoutMs } = this.#options
    if (this.#closing) throw ModelProcessErrors.CLOSED({ model })
    this.#running++
    try {
      const answer = await this.#next().run(this.#headOf(outputs), this.#framed(batch), deadline, timeoutMs)
      return this.#toMap(answer, outputs)
    } catch (error) {
      throw processError(error, model, group)
    } finally {
      if (--this.#running === 0) this.#whenIdle?.()
    }
  }

  /** Its share of what its processes really take. */
  memoryBytes(): number {
    let bytes = 0
    for (const hosted of this.#options.hosted) bytes += Math.max(this.#options.sizeBytes, hosted.place.shareOf(hosted))
    return bytes
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
    await Promise.all(this.#options.hosted.map((hosted) => hosted.place.release(hosted)))
    this.#options.onClosed()
  }

  get #isUp(): boolean {
    return this.#options.hosted.some(({ isUp }) => isUp)
  }

  #changed(): void {
    const isUp = this.#isUp
    if (isUp === this.#wasUp) return
    this.#wasUp = isUp
    this.#listener?.(this.refusal)
  }

  /** The least busy of those that are there; when none is, the one that should be there first. */
  #next(): Hosted {
    const { hosted } = this.#options
    let best = hosted[0]!
    for (let i = 1; i < hosted.length; i++) {
      const other = hosted[i]!
      if (best.isUp && other.isUp ? other.running < best.running : other.isUp || isSooner(other, best)) best = other
    }
    return best
  }

  #headOf(outputs: readonly string[] | undefined): Buffer {
    // The handle is written by whoever runs it: it differs from process to process.
    const head = Buffer.allocUnsafe(4 + 2 * (outputs?.length ?? 0))
    for (let i = 0; outputs !== undefined && i < outputs.length; i++)
      head.writeUInt16LE(this.#outputs.get(outputs[i]!)!, 4 + 2 * i)
    return head
  }

  #framed(batch: TensorMap): FrameTensor[] {
    const framed: FrameTensor[] = []
    const { inputs } = this.signature
    for (let index = 0; index < inputs.length; index++) {
      const tensor = batch.get(inputs[index]!.name)
      if (tensor !== undefined) framed.push({ index, tensor })
    }
    return framed
  }

  /** In the order asked for. */
  #toMap(answer: readonly FrameTensor[], wanted: readonly string[] | undefined): TensorMap {
    const { outputs } = this.signature
    const map = new Map<string, Tensor>()
    const count = wanted?.length ?? outputs.length
    for (let i = 0; i < count; i++) {
      const index = wanted === undefined ? i : this.#outputs.get(wanted[i]!)!
      const { name, datatype } = outputs[index]!
      const found = answer.find((framed) => framed.index === index)
      if (found === undefined || found.tensor.datatype !== datatype)
        throw new Error(`the process did not answer with the output "${name}" as ${datatype}`)
      const { shape, data } = found.tensor
      map.set(name, { name, datatype, shape, data })
    }
    return map
  }
}

function isSooner(other: Hosted, best: Hosted): boolean {
  return !best.isUp && other.place.expectedUpMs() < best.place.expectedUpMs()
}

/** What a process ended with as the table's error; anything else unforeseen as CORE_INTERNAL. */
export function processError(error: unknown, model: string, group: string): HeadraceError {
  if (error instanceof ProcessEnded) return ModelProcessErrors.ENDED({ model, group, reason: error.message })
  if (error instanceof ProcessDown)
    return ModelProcessErrors.DOWN({ model, group, reason: error.reason, retryAfterMs: error.retryAfterMs })
  return toHeadraceError(error)
}
