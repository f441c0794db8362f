// Versions that are described by a JSON file in place of a graph: one that another server runs (`remote.json`), and one that is made
// of other versions (`pipeline.json`). The registry reads the file, serving runs what it says; they meet here like over model.json.
import type { ModelName } from '../core/index.js'
import type { Signature, TensorSpec } from './tensor.js'

/** remote.json with its defaults filled in. */
export interface RemoteModel {
  /** `http:`, `https:`, `grpc:` or `grpcs:`, without a trailing slash. */
  readonly url: string
  /** Its name there. */
  readonly model: string
  /** Undefined: whichever that server takes. */
  readonly version: string | undefined
  /** Sent with every request; `${NAME}` in a value is the environment variable of that name. */
  readonly headers: Readonly<Record<string, string>>
  /** Limit of one try; undefined: what is left until the deadline. */
  readonly timeoutMs: number | undefined
  /** Requests to the server at once; default 64. */
  readonly maxInFlight: number
  /** Rows in one request to it; undefined: what the server says of the model, or no limit. */
  readonly maxBatchSize: number | undefined
  /** A larger answer is refused; default 64 MiB. */
  readonly maxReplyBytes: number
  /** Between looks at whether it is ready; default 5,000. */
  readonly probeMs: number
  /** Whether tensors travel in the binary form over HTTP; undefined: when the server says that it can. */
  readonly binary: boolean | undefined
  /** Undefined: as the server's metadata looks. */
  readonly batchAxis: 0 | null | undefined
  /** Undefined: the server's. */
  readonly signature: Pick<Signature, 'inputs' | 'outputs'> | undefined
}

/** A pipeline's own input (`step` is undefined) or a step's output. */
export interface TensorSource {
  readonly step: string | undefined
  readonly tensor: string
}

/** One model of a pipeline. */
export interface PipelineStep {
  readonly name: string
  readonly model: ModelName
  readonly version: number
  /** By the name of the model's input. */
  readonly inputs: ReadonlyMap<string, TensorSource>
}

/** pipeline.json, checked as far as it can be without its models: no cycles, and no name that nothing has. */
export interface PipelineModel {
  /** Undefined: what the steps take. */
  readonly inputs: readonly TensorSpec[] | undefined
  /** In an order in which each comes after those whose outputs it takes. */
  readonly steps: readonly PipelineStep[]
  /** By the name that callers see, in the order they see. */
  readonly outputs: ReadonlyMap<string, { readonly step: string; readonly tensor: string }>
}
