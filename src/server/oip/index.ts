// The Open Inference Protocol (KServe v2) over JSON: request bodies to tensors, tensors to reply bodies.
// Pure functions on bytes and text, so that they run on the event loop and in the parse worker alike.
// Signatures first; the bodies follow in the next commits.
import type { HeadraceError } from '../../core/index.js'
import type { Signature, Tensor, TensorMap } from '../../tensor/index.js'
import type {
  EncodedInferResponse,
  Identity,
  InferRequest,
  InferResponse,
  Parameters,
  RepositoryEntry,
} from './types.js'

export type * from './types.js'

export declare function parseInferRequest(body: Uint8Array): InferRequest
/** `parameters.unit` (string or number) and every `parameters["entity.<key>"]`. */
export declare function identityOf(parameters: Parameters): Identity
/** The outputs in the order asked for (all, in the order of the signature, when undefined). */
export declare function orderOutputs(
  outputs: TensorMap,
  requested: readonly string[] | undefined,
  signature: Signature,
): Tensor[]
export declare function encodeInferResponse(response: InferResponse): EncodedInferResponse
/** `{"error": message, "code": code}` */
export declare function encodeError(error: HeadraceError): string
/** `{"live": true}` and `{"ready": true}` */
export declare function encodeLive(live: boolean): string
export declare function encodeReady(ready: boolean): string
/** `{"name", "ready"}` */
export declare function encodeModelReady(name: string, ready: boolean): string
/** `name` is always headrace. */
export declare function encodeServerMetadata(server: {
  readonly version: string
  readonly extensions: readonly string[]
}): string
export declare function encodeModelMetadata(model: {
  readonly name: string
  readonly versions: readonly number[]
  readonly platform: string
  readonly signature: Signature
}): string
/** `{"models": [names]}` */
export declare function encodeModelList(names: readonly string[]): string
/** An empty body means every model. */
export declare function parseRepositoryIndexRequest(body: Uint8Array): { readonly ready: boolean }
export declare function encodeRepositoryIndex(entries: readonly RepositoryEntry[]): string
