// What crosses between KServe's version 1 JSON and the server: plain, cloneable data.
import type { Columns, Tensor, TensorMap } from '../../tensor/index.js'

export interface PredictRequest {
  /** The reply takes the form of the request: `predictions` for rows, `outputs` for columns. */
  readonly form: 'rows' | 'columns'
  /** Empty when there are `columns`. */
  readonly inputs: TensorMap
  /** By name, for an endpoint that has features beside; undefined for any other. */
  readonly columns: Columns | undefined
  /** Size of the batch axis; 1 for a model without one. */
  readonly rows: number
}

export interface PredictResponse {
  readonly form: 'rows' | 'columns'
  readonly rows: number
  readonly outputs: readonly Tensor[]
}
