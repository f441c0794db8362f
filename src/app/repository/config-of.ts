// A version as Triton's ModelConfig, as perf_analyzer and Model Analyzer read it.
import type { ServedVersion } from '../../serving/index.js'
import type { DataType, TensorSpec } from '../../tensor/index.js'
import type { ConfigTensor, DynamicBatchingConfig, ModelConfig, VersionPolicy, WarmupConfig } from './types.js'

/** Classes of urgency: `priority` 1, 2 and 3 of a request. */
const PRIORITY_LEVELS = 3
const DEFAULT_PRIORITY_LEVEL = 2
/** How the names of our own parameters begin, which are facts about a version. */
export const OWN_PARAMETERS = 'headrace.'

/** What `platform` is called in metadata and configurations. */
export function platformOf(kind: string): string {
  return kind === 'onnx' ? 'onnxruntime_onnx' : `headrace_${kind}`
}

/** What is so beside the version. */
export interface ConfigFacts {
  readonly isCached: boolean
  readonly policy: VersionPolicy
}

export function configOf(name: string, served: ServedVersion, { isCached, policy }: ConfigFacts): ModelConfig {
  const { manifest, signature, kind, digest, isolation, ref } = served
  const { batching } = manifest
  const isBatched =
    batching.enabled && signature.batchAxis === 0 && signature.inputs.every(({ shape }) => shape[0] === -1)
  const describe = (spec: TensorSpec) => tensor(spec, isBatched)
  return {
    name,
    platform: platformOf(kind),
    backend: kind === 'onnx' ? 'onnxruntime' : `headrace_${kind}`,
    version_policy: policy,
    max_batch_size: isBatched ? batching.maxBatchSize : 0,
    input: signature.inputs.map((spec) => ({ ...describe(spec), optional: spec.isOptional === true })),
    output: signature.outputs.map(describe),
    instance_group: [{ name: `${name}_0`, kind: processorOf(served), count: manifest.instances ?? 1 }],
    default_model_filename: kind === 'onnx' ? 'model.onnx' : '',
    parameters: parameters({ digest, isolation, model: ref.model, version: String(ref.version) }),
    model_warmup: warmups(served, isBatched),
    model_transaction_policy: { decoupled: false },
    response_cache: { enable: isCached },
    ...(isBatched && { dynamic_batching: dynamicBatching(served) }),
  }
}

function tensor({ name, datatype, shape }: TensorSpec, isBatched: boolean): ConfigTensor {
  const dims = isBatched ? shape.slice(1) : shape
  const described = { name, data_type: typeOf(datatype), dims }
  return dims.length > 0 ? described : { ...described, dims: [1], reshape: { shape: [] } }
}

function typeOf(datatype: DataType): string {
  return datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`
}

function processorOf({ manifest, kind }: ServedVersion): string {
  if (kind === 'remote') return 'KIND_MODEL'
  const first = manifest.providers?.[0]?.name ?? 'cpu'
  return first === 'cpu' ? 'KIND_CPU' : 'KIND_GPU'
}

function dynamicBatching({ manifest: { batching } }: ServedVersion): DynamicBatchingConfig {
  return {
    preferred_batch_size: batching.preferredBatchSizes ?? [],
    max_queue_delay_microseconds: Math.round(batching.maxDelayMs * 1000),
    preserve_ordering: false,
    priority_levels: PRIORITY_LEVELS,
    default_priority_level: DEFAULT_PRIORITY_LEVEL,
    default_queue_policy: {
      timeout_action: 'REJECT',
      default_timeout_microseconds: 0,
      allow_timeout_override: true,
      max_queue_size: batching.maxQueueRows,
    },
  }
}

function parameters(values: Readonly<Record<string, string>>): ModelConfig['parameters'] {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`${OWN_PARAMETERS}${key}`, { string_value: value }]),
  )
}

/** A row is a request of its own; its values are in model.json, where Triton has a file for each input. */
function warmups({ manifest, signature }: ServedVersion, isBatched: boolean): WarmupConfig[] {
  const inputs = Object.fromEntries(
    signature.inputs.map((spec) => {
      const { data_type, dims } = tensor(spec, isBatched)
      return [spec.name, { data_type, dims, input_data_file: 'model.json' }]
    }),
  )
  return manifest.warmup.map((_, i) => ({ name: `row ${i}`, batch_size: isBatched ? 1 : 0, inputs, count: 1 }))
}
