// How a version's server is reached: the same questions over HTTP and over gRPC. Everything rejects with a RemoteFailure.
import type { Clock } from '../../core/index.js'
import type { RemoteModel, TensorMap, TensorSpec } from '../../tensor/index.js'
import type { Failures } from './failure.js'

/** What the server says about the model. */
export interface RemoteDescription {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Triton's `max_batch_size`: rows in one request, 0 for a model without batches; undefined when the server does not say. */
  readonly maxBatchSize: number | undefined
  /** Whether it takes and gives tensors in their binary form. */
  readonly speaksBinary: boolean
}

export interface InferCall {
  readonly id: string
  readonly inputs: TensorMap
  /** Output names in the order wanted. */
  readonly outputs: readonly string[]
  /** What is left for it, milliseconds; Infinity when there is no deadline. */
  readonly limitMs: number
}

/** One request under way. */
export interface Try {
  readonly answer: Promise<TensorMap>
  /** Ends it; the answer then rejects. */
  cancel(): void
}

export interface Transport {
  describe(limitMs: number): Promise<RemoteDescription>
  /** Resolves when the model can answer. */
  ready(limitMs: number): Promise<void>
  infer(call: InferCall): Try
  /** Once, before the first `infer`: what answers must look like, and how tensors travel. */
  expect(outputs: readonly TensorSpec[], isBinary: boolean): void
  close(): void
}

export interface TransportOptions {
  readonly remote: RemoteModel
  /** With environment variables filled in. */
  readonly headers: Readonly<Record<string, string>>
  readonly failures: Failures
  readonly clock: Clock
}
