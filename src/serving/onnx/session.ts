// One ONNX Runtime session, the same in a thread and on the main thread: raw tensors in, raw tensors out.
// Everything odd about the Node binding stays in this file. It is called directly, not through the package's InferenceSession,
// whose run waits for another turn of the event loop and copies its results: 28 µs against 20 for a tiny model (2026-11-22).
import { isMainThread } from 'node:worker_threads'
import type { Tensor, TensorConstructor } from 'onnxruntime-common'
import type { Binding } from 'onnxruntime-node/dist/binding.js'
import type { DataType, ExecutionProvider, TensorData } from '../../tensor/index.js'
import { narrowToBf16, widenBf16 } from './bf16.js'
import { ORT_TYPE } from './datatypes.js'
import { fail, reasonOf } from './failure.js'
import { CPU, toBinding } from './providers.js'

type Runtime = typeof import('onnxruntime-node/dist/binding.js')

/** A tensor on its way to or from a session; BYTES are strings here, because that is what crosses threads well. */
export interface RawTensor {
  readonly shape: readonly number[]
  readonly data: RawData
}
export type RawData = Exclude<TensorData, Buffer[]> | string[]

/** A value at the boundary, as the session sees it. */
export interface SessionValue {
  readonly sessionName: string
  readonly datatype: DataType
}

export interface SessionOptions {
  readonly bytes: Uint8Array
  readonly inputs: readonly SessionValue[]
  readonly outputs: readonly SessionValue[]
  /** Where the model file lies: its side files are looked for there. */
  readonly folder: string
  /** In order of preference; the CPU without them. */
  readonly providers?: readonly ExecutionProvider[]
  /** The bytes are what an earlier session wrote to `saveTo`. */
  readonly isOptimized?: boolean
  /** Where the graph is written as the runtime has optimised it. */
  readonly saveTo?: string
}

/** Without run options, which it would read one by one (0.5 of 8 µs): a run logs as its session does. */
type NativeSession = Omit<Binding.InferenceSession, 'run'> & {
  run(feeds: Record<string, Tensor>, fetches: Record<string, null>): ReturnType<Binding.InferenceSession['run']>
}

export class OnnxSession {
  private constructor(
    private readonly session: NativeSession,
    private readonly inputs: readonly SessionValue[],
    private readonly outputs: readonly SessionValue[],
  ) {}

  /** Blocks its thread. Throws RUNTIME_MISSING, MODEL_REFUSED, PROVIDER_OPTION_UNKNOWN, PROVIDER_OPTION_INVALID. */
  static async create(options: SessionOptions, runtime = loadRuntime()): Promise<OnnxSession> {
    const { bytes, inputs, outputs, folder, providers = [CPU], isOptimized, saveTo } = options
    const executionProviders = providers.map(toBinding)
    const { binding } = await runtime
    try {
      const session = new binding.InferenceSession()
      session.loadModel(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength, {
        executionProviders,
        ...(isOptimized && { graphOptimizationLevel: 'disabled' as const }),
        ...(saveTo !== undefined && { optimizedModelFilePath: saveTo }),
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        logSeverityLevel: SILENT,
        extra: {
          session: {
            intra_op: { allow_spinning: '0' },
            model_external_initializers_file_folder_path: folder,
          },
        },
      })
      return new OnnxSession(session as NativeSession, inputs, outputs)
    } catch (error) {
      throw fail('MODEL_REFUSED', { reason: reasonOf(error) })
    }
  }

  /** Inputs in the order of `inputs`; `wanted` are indices of outputs. Throws INPUT_REFUSED, VALUES_REFUSED, RUN_FAILED. */
  run(tensors: readonly RawTensor[], wanted?: readonly number[]): RawTensor[] {
    const feeds: Record<string, Tensor> = {}
    for (let i = 0; i < tensors.length; i++) {
      const { sessionName, datatype } = this.inputs[i]!
      feeds[sessionName] = toOrt(datatype, tensors[i]!)
    }
    const fetches: Record<string, null> = {}
    const count = wanted?.length ?? this.outputs.length
    for (let i = 0; i < count; i++) fetches[this.outputs[wanted?.[i] ?? i]!.sessionName] = null

    let results: ReturnType<Binding.InferenceSession['run']>
    try {
      results = this.session.run(feeds, fetches)
    } catch (error) {
      throw runFailure(error)
    }
    const outputs: RawTensor[] = []
    for (let i = 0; i < count; i++) {
      const { sessionName, datatype } = this.outputs[wanted?.[i] ?? i]!
      outputs.push(fromOrt(datatype, results[sessionName] as unknown as RuntimeTensor))
    }
    return outputs
  }

  /** Only between runs. */
  async release(): Promise<void> {
    this.session.dispose()
  }
}

/** The native side reads these properties; a Tensor object would check and, from Node 24 on, convert what it is given. */
function toOrt(datatype: DataType, { shape, data }: RawTensor): Tensor {
  const values = datatype === 'BF16' ? widenBf16(data as Uint16Array) : data
  return { type: ORT_TYPE[datatype], dims: shape, data: values, location: 'cpu' } as unknown as Tensor
}

/** The runtime writes to stderr by itself below this level (fatal); every failure reaches us as an exception anyway. */
const SILENT = 4

/** What the runtime makes of each output, in place of the package's Tensor, which checks and converts what it is given. */
class RuntimeTensor implements RawTensor {
  readonly data: RawData
  readonly shape: readonly number[]

  constructor(_type: string, data: RawData, dims: readonly number[]) {
    this.data = data
    this.shape = dims
  }
}

function fromOrt(datatype: DataType, tensor: RuntimeTensor): RawTensor {
  return datatype === 'BF16' ? { shape: tensor.shape, data: narrowToBf16(tensor.data as Float32Array) } : tensor
}

/** As in `1.30.0`. */
export async function runtimeVersion(): Promise<string> {
  return (await import('onnxruntime-node/dist/version.js')).version
}

let loading: Promise<Runtime> | undefined

/** ONNX Runtime, imported when first needed: it costs 80 ms and 30 MB. Rejects with RUNTIME_MISSING. */
export function loadRuntime(): Promise<Runtime> {
  loading ??= importRuntime()
  return loading
}

async function importRuntime(): Promise<Runtime> {
  try {
    // Not its default export, which loaders that follow __esModule (tsx, bundlers) do not have.
    const runtime = await import('onnxruntime-node/dist/binding.js')
    // What the package's initOrt does, but silent from the first line on.
    runtime.binding.initOrtOnce(SILENT, RuntimeTensor as unknown as TensorConstructor, isMainThread)
    return runtime
  } catch (error) {
    throw fail('RUNTIME_MISSING', { platform: `${process.platform}/${process.arch}`, reason: reasonOf(error) })
  }
}

/**
 * The binding reports a failed run as text only. Before any operator ran, the runtime has compared the inputs with the
 * graph: that is the caller's mistake (400). An operator that complains about indices, sizes or a division by zero was given
 * values it cannot take (422: perhaps the caller's, perhaps the model's). Anything else is ours (500).
 */
export function runFailure(error: unknown): Error {
  const reason = reasonOf(error)
  if (/^(Got invalid dimensions|Invalid rank|Unexpected input data type)/.test(reason)) {
    return fail('INPUT_REFUSED', { reason: reason.replace(' Please fix either the inputs/outputs or the model', '') })
  }
  const inOperator = /^Non-zero status code returned while running (\S+) node\..*?Status Message: (.*)$/.exec(reason)
  if (inOperator && VALUES_AT_FAULT.test(inOperator[2]!) && !OUT_OF_MEMORY.test(inOperator[2]!)) {
    return fail('VALUES_REFUSED', { operator: inOperator[1]!, reason: withoutSource(inOperator[2]!) })
  }
  return fail('RUN_FAILED', { reason })
}

const VALUES_AT_FAULT = /bounds|range|dimension|shape|size|broadcast|\baxis\b|\brank\b|by zero|categor|invalid/i
const OUT_OF_MEMORY = /allocat|memory/i

/** Leaves out the runtime's source file, line and function, which say nothing to a reader. */
function withoutSource(reason: string): string {
  return reason.replace(/^\S*\.(?:h|cc|cpp):\d+ /, '').replace(/^[\w:]+\([^)]*\) /, '')
}
