// What Triton's clients ask beside inference, as plain data in its JSON's shape, for every face that speaks to them. 64-bit numbers
// are numbers here, as in Triton's JSON.

/** `count` events that took `ns` altogether. */
export interface Duration {
  readonly count: number
  readonly ns: number
}

export interface ModelStatistics {
  readonly name: string
  readonly version: string
  /** Milliseconds since the Unix epoch; 0 when there was none. */
  readonly last_inference: number
  /** Rows that ran: what came from the cache is not among them. */
  readonly inference_count: number
  /** Runs. */
  readonly execution_count: number
  readonly inference_stats: {
    readonly success: Duration
    readonly fail: Duration
    readonly queue: Duration
    readonly compute_input: Duration
    readonly compute_infer: Duration
    readonly compute_output: Duration
    readonly cache_hit: Duration
    readonly cache_miss: Duration
  }
  /** By rows of a run, ascending. */
  readonly batch_stats: readonly {
    readonly batch_size: number
    readonly compute_input: Duration
    readonly compute_infer: Duration
    readonly compute_output: Duration
  }[]
  readonly memory_usage: readonly { readonly type: string; readonly id: number; readonly byte_size: number }[]
  /** Of models that answer a request more than once, which there are none of. */
  readonly response_stats: Readonly<Record<string, never>>
}

export interface ConfigTensor {
  readonly name: string
  /** `TYPE_FP32`; TYPE_STRING for BYTES. */
  readonly data_type: string
  /** Without the batch axis where `max_batch_size` is above 0. */
  readonly dims: readonly number[]
  /** What the model is given in place of `dims`, which may not be empty. */
  readonly reshape?: { readonly shape: readonly number[] }
}

/** The part of Triton's ModelConfig that there is here. */
export interface ModelConfig {
  readonly name: string
  readonly platform: string
  readonly backend: string
  readonly version_policy: VersionPolicy
  /** 0: calls are not joined, and tensors have no batch axis of which `dims` would be silent. */
  readonly max_batch_size: number
  readonly input: readonly (ConfigTensor & { readonly optional: boolean })[]
  readonly output: readonly ConfigTensor[]
  readonly instance_group: readonly {
    readonly name: string
    readonly kind: string
    readonly count: number
  }[]
  readonly default_model_filename: string
  readonly parameters: Readonly<Record<string, { readonly string_value: string }>>
  readonly model_warmup: readonly WarmupConfig[]
  readonly model_transaction_policy: { readonly decoupled: boolean }
  readonly response_cache: { readonly enable: boolean }
  readonly dynamic_batching?: DynamicBatchingConfig
}

export interface DynamicBatchingConfig {
  readonly preferred_batch_size: readonly number[]
  readonly max_queue_delay_microseconds: number
  readonly preserve_ordering: boolean
  readonly priority_levels: number
  readonly default_priority_level: number
  readonly default_queue_policy: {
    readonly timeout_action: 'REJECT'
    readonly default_timeout_microseconds: number
    readonly allow_timeout_override: boolean
    readonly max_queue_size: number
  }
}

export interface WarmupConfig {
  readonly name: string
  readonly batch_size: number
  readonly inputs: Readonly<
    Record<string, { readonly data_type: string; readonly dims: readonly number[]; readonly input_data_file: string }>
  >
  readonly count: number
}

/** Which of a model's versions are served. */
export type VersionPolicy =
  | { readonly all: Readonly<Record<string, never>> }
  | { readonly latest: { readonly num_versions: number } }
  | { readonly specific: { readonly versions: readonly number[] } }

export interface RepositoryEntry {
  readonly name: string
  readonly version?: string
  readonly state: RepositoryState
  readonly reason?: string
}

export type RepositoryState = 'UNKNOWN' | 'READY' | 'UNAVAILABLE' | 'LOADING' | 'UNLOADING'

/** What a client asks to be loaded. */
export interface LoadRequest {
  readonly model: string
  /** Triton's ModelConfig as JSON: laid over the model's own. Undefined: its own alone. */
  readonly config?: string | undefined
  /** Contents by `<version>/<path>`. Needs a `config`. */
  readonly files?: ReadonlyMap<string, Uint8Array> | undefined
}
