// A loaded script version: one thread of its own, ended when a run takes too long or the script breaks it, and started again for
// the next run from the compiled script, which is kept.
import { isUtf8 } from 'node:buffer'
import { type Clock, type HeadraceError, toHeadraceError } from '../../core/index.js'
import { copyData, type Signature, type Tensor, type TensorMap } from '../../tensor/index.js'
import type { RawTensor } from '../onnx/session.js'
import { transferable } from '../onnx/transfer.js'
import type { Backend, RunContext } from '../types.js'
import { ScriptErrors } from './errors.js'
import { fail, ScriptFailure } from './failure.js'
import type { OpenedScript } from './messages.js'
import { ScriptThread } from './script-thread.js'

/** Evaluating a script may take so long; its compiler 0.3 s (2026-11-22). */
const OPEN_MS = 10_000
/** What a thread with a small script adds to the resident memory of the process (Node 20, Linux x64, 2026-11-22). */
const THREAD_BYTES = 10_000_000

export interface ScriptBackendOptions {
  /** The version, as in `fraud-rule/1`. */
  readonly model: string
  readonly file: string
  readonly code: string
  readonly clock: Clock
  /** The manifest's limit for a run. */
  readonly timeoutMs: number
  readonly onClosed: () => void
}

export class ScriptBackend implements Backend {
  readonly concurrency = 1
  readonly isolation = 'thread'
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly #options: ScriptBackendOptions
  readonly #timeoutMs: number
  #thread: ScriptThread
  #starting: Promise<ScriptThread> | undefined
  #running = 0
  #whenIdle: (() => void) | undefined
  #closing: Promise<void> | undefined

  private constructor(options: ScriptBackendOptions, thread: ScriptThread, opened: OpenedScript) {
    this.#options = options
    this.#thread = thread
    this.signature = opened.signature
    this.labels = opened.labels
    this.#timeoutMs = Math.min(opened.timeoutMs ?? 1000, options.timeoutMs)
  }

  /** Rejects with the SCRIPT_ codes. */
  static async open(options: ScriptBackendOptions): Promise<ScriptBackend> {
    try {
      const { thread, opened } = await openThread(options)
      return new ScriptBackend(options, thread, opened)
    } catch (error) {
      throw scriptError(error, options.model)
    }
  }

  async run(batch: TensorMap, { outputs, ownsBatch = false }: RunContext): Promise<TensorMap> {
    if (this.#closing) throw ScriptErrors.CLOSED({ model: this.#options.model })
    this.#running++
    try {
      const wanted = outputs && this.#indices(outputs)
      return this.#toMap(await this.#runRaw(await this.#toRaw(batch, ownsBatch), wanted), wanted)
    } catch (error) {
      throw scriptError(error, this.#options.model)
    } finally {
      if (--this.#running === 0) this.#whenIdle?.()
    }
  }

  /** Ends the thread as if it had failed: a run under way fails, and the next one starts another. */
  kill(): void {
    void this.#thread.end(fail('THREAD_ENDED', { reason: 'it was ended from outside' }))
  }

  memoryBytes(): number {
    return THREAD_BYTES + this.#options.code.length
  }

  /** Runs under way finish first, or reach their limit. */
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
    await this.#thread.end(fail('CLOSED', {}))
    this.#options.onClosed()
  }

  async #runRaw(inputs: RawTensor[], outputs: readonly number[] | undefined): Promise<readonly RawTensor[]> {
    const thread = this.#thread.isAlive ? this.#thread : await this.#restarted()
    const timeoutMs = this.#timeoutMs
    const timer = this.#options.clock.after(timeoutMs, () => void thread.end(fail('RUN_TIMEOUT', { timeoutMs })))
    try {
      const transfer: ArrayBuffer[] = []
      const sent = transferable(inputs, transfer, true)
      return (await thread.request({ kind: 'run', inputs: sent, outputs }, transfer)).tensors!
    } finally {
      timer.cancel()
    }
  }

  #restarted(): Promise<ScriptThread> {
    this.#starting ??= openThread(this.#options)
      .then(({ thread }) => {
        this.#thread = thread
        return thread
      })
      .finally(() => {
        this.#starting = undefined
      })
    return this.#starting
  }

  #indices(names: readonly string[]): number[] {
    return [...new Set(names)].map((name) => this.signature.outputs.findIndex((output) => output.name === name))
  }

  async #toRaw(batch: TensorMap, isOwned: boolean): Promise<RawTensor[]> {
    const raw: RawTensor[] = []
    for (const { name } of this.signature.inputs) {
      const { shape, data } = batch.get(name)!
      if (Array.isArray(data)) raw.push({ shape, data: textsOf(name, data) })
      else raw.push({ shape, data: isOwned ? data : await copyData(data) })
    }
    return raw
  }

  #toMap(raw: readonly RawTensor[], wanted: readonly number[] | undefined): TensorMap {
    const map = new Map<string, Tensor>()
    for (let i = 0; i < raw.length; i++) {
      const { name, datatype } = this.signature.outputs[wanted?.[i] ?? i]!
      const { shape, data } = raw[i]!
      map.set(name, { name, datatype, shape, data: Array.isArray(data) ? data.map((text) => Buffer.from(text)) : data })
    }
    return map
  }
}

async function openThread(options: ScriptBackendOptions): Promise<{ thread: ScriptThread; opened: OpenedScript }> {
  const { file, code, clock } = options
  const thread = new ScriptThread()
  try {
    const { opened } = await withinOpenMs(thread, clock, thread.request({ kind: 'open', file, code }))
    return { thread, opened: opened! }
  } catch (error) {
    await thread.end(fail('CLOSED', {}))
    throw error
  }
}

/** In a thread that ends afterwards, because the compiler would triple what a script's thread keeps. */
export async function compileScript(model: string, file: string, digest: string, clock: Clock): Promise<string> {
  const thread = new ScriptThread()
  try {
    const { code } = await withinOpenMs(thread, clock, thread.request({ kind: 'compile', file, digest }))
    return code!
  } catch (error) {
    throw scriptError(error, model)
  } finally {
    void thread.end(fail('CLOSED', {}))
  }
}

async function withinOpenMs<T>(thread: ScriptThread, clock: Clock, work: Promise<T>): Promise<T> {
  const reason = `it was not loaded within ${OPEN_MS / 1000} seconds; leave long work to its functions`
  const timer = clock.after(OPEN_MS, () => void thread.end(fail('INVALID', { reason })))
  try {
    return await work
  } finally {
    timer.cancel()
  }
}

/** Throws INPUT_NOT_TEXT. */
function textsOf(input: string, elements: readonly Buffer[]): string[] {
  return elements.map((element, i) => {
    if (!isUtf8(element)) throw fail('INPUT_NOT_TEXT', { input, element: i })
    return element.toString('utf8')
  })
}

/** A failure as the table's error; anything else unforeseen as CORE_INTERNAL. */
function scriptError(error: unknown, model: string): HeadraceError {
  if (!(error instanceof ScriptFailure)) return toHeadraceError(error)
  const { key, params } = error.failure
  const make = ScriptErrors[key] as (params: object) => HeadraceError
  return make({ model, ...params })
}
