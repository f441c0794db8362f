// A ModelConfig, which app has in the form of Triton's JSON, as the message of the same name.
import type { ModelConfig as Config } from '../../app/index.js'
import {
  ConfigDataType,
  InstanceKind,
  ModelConfig,
  ModelInput,
  ModelInstanceGroup,
  ModelOutput,
  QueueTimeoutAction,
} from '../../oip/index.js'

/** A message with every field at its default. */
const NOTHING = new Uint8Array()

export function configMessage(config: Config): ModelConfig {
  return {
    ...ModelConfig.decode(NOTHING),
    name: config.name,
    platform: config.platform,
    backend: config.backend,
    maxBatchSize: config.max_batch_size,
    versionPolicy: { policyChoice: versionPolicy(config) },
    input: config.input.map((input) => ({ ...ModelInput.decode(NOTHING), ...tensor(input), optional: input.optional })),
    output: config.output.map((output) => ({ ...ModelOutput.decode(NOTHING), ...tensor(output) })),
    instanceGroup: config.instance_group.map(({ name, kind, count }) => ({
      ...ModelInstanceGroup.decode(NOTHING),
      name,
      kind: InstanceKind[kind as keyof typeof InstanceKind],
      count,
    })),
    defaultModelFilename: config.default_model_filename,
    parameters: new Map(
      Object.entries(config.parameters).map(([key, { string_value }]) => [key, { stringValue: string_value }]),
    ),
    modelWarmup: config.model_warmup.map(({ name, batch_size, inputs, count }) => ({
      name,
      batchSize: batch_size,
      inputs: new Map(
        Object.entries(inputs).map(([key, { data_type, dims, input_data_file }]) => [
          key,
          {
            dataType: datatype(data_type),
            dims: dims.map(BigInt),
            inputDataType: { $case: 'inputDataFile', value: input_data_file },
          },
        ]),
      ),
      count,
    })),
    modelTransactionPolicy: config.model_transaction_policy,
    responseCache: config.response_cache,
    schedulingChoice: dynamicBatching(config),
  }
}

function tensor({ name, data_type, dims, reshape }: Config['output'][number]) {
  return {
    name,
    dataType: datatype(data_type),
    dims: dims.map(BigInt),
    reshape: reshape && { shape: reshape.shape.map(BigInt) },
  }
}

function datatype(name: string): ConfigDataType {
  return ConfigDataType[name as keyof typeof ConfigDataType]
}

function versionPolicy({ version_policy: policy }: Config): NonNullable<ModelConfig['versionPolicy']>['policyChoice'] {
  if ('latest' in policy) return { $case: 'latest', value: { numVersions: policy.latest.num_versions } }
  if ('specific' in policy) return { $case: 'specific', value: { versions: policy.specific.versions.map(BigInt) } }
  return { $case: 'all', value: {} }
}

function dynamicBatching({ dynamic_batching: batching }: Config): ModelConfig['schedulingChoice'] {
  if (batching === undefined) return undefined
  const { default_queue_policy: policy } = batching
  return {
    $case: 'dynamicBatching',
    value: {
      preferredBatchSize: [...batching.preferred_batch_size],
      maxQueueDelayMicroseconds: BigInt(batching.max_queue_delay_microseconds),
      preserveOrdering: batching.preserve_ordering,
      priorityLevels: BigInt(batching.priority_levels),
      defaultPriorityLevel: BigInt(batching.default_priority_level),
      defaultQueuePolicy: {
        timeoutAction: QueueTimeoutAction[policy.timeout_action],
        defaultTimeoutMicroseconds: BigInt(policy.default_timeout_microseconds),
        allowTimeoutOverride: policy.allow_timeout_override,
        maxQueueSize: policy.max_queue_size,
      },
      priorityQueuePolicy: new Map(),
    },
  }
}
