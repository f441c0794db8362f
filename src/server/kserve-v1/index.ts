// KServe's version 1 (TensorFlow Serving's REST) over JSON: row form (`instances`) and column form (`inputs`).
// Datatypes are not on the wire, so a body is read with the model's row schema.
// Signatures first; the bodies follow in the next commits.
import type { HeadraceError } from '../../core/index.js'
import type { RowSchema, Tensor, TensorMap } from '../../tensor/index.js'

export interface PredictRequest {
  /** The reply takes the form of the request: `predictions` for rows, `outputs` for columns. */
  readonly form: 'rows' | 'columns'
  readonly inputs: TensorMap
  /** Size of the batch axis; 1 for a model without one. */
  readonly rows: number
}

export interface PredictResponse {
  readonly form: 'rows' | 'columns'
  readonly rows: number
  readonly outputs: readonly Tensor[]
}

export declare function parsePredictRequest(body: Uint8Array, schema: RowSchema): PredictRequest
export declare function encodePredictResponse(response: PredictResponse): string
/** `{"error": message, "code": code}` */
export declare function encodeError(error: HeadraceError): string
/** `{"name", "ready"}` */
export declare function encodeModelReady(name: string, ready: boolean): string
/** `{"models": [names]}` */
export declare function encodeModelList(names: readonly string[]): string
