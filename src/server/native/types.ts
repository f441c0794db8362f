// What crosses between the native call's JSON and the server: plain, cloneable data.
import type { HeadraceError } from '../../core/index.js'
import type { Priority } from '../../serving/index.js'
import type { Columns, NamedOutputs, TensorMap } from '../../tensor/index.js'

export interface NativeRequest {
  /** True when `inputs` was one row and not a list: the reply is then one prediction and not a list. */
  readonly single: boolean
  readonly rows: number
  /** All rows together; each row is its own prediction. Empty when there are `columns`. */
  readonly inputs: TensorMap
  /** The same by name, for an endpoint that has features beside; undefined for any other. */
  readonly columns: Columns | undefined
  /** Per row. */
  readonly units: readonly (string | undefined)[]
  /** Per row. */
  readonly entities: readonly Entities[]
  /** Graph outputs to compute; undefined means all. */
  readonly outputs: readonly string[] | undefined
  readonly priority: Priority | undefined
  /** Free facts that routes can match. */
  readonly metadata: Metadata | undefined
}

/** By key name; null: there is none. */
export type Entities = Readonly<Record<string, string | number | bigint | null>>

export type Metadata = Readonly<Record<string, string | number | boolean>>

export interface NativePrediction {
  readonly id: string
  readonly model: string
  readonly version: number
  readonly outputs: NamedOutputs
  readonly flags: readonly string[]
}

/** A row of a list that got no answer while others did. */
export interface NativeFailure {
  readonly id: string
  readonly error: HeadraceError
}

export interface NativeResponse {
  readonly endpoint: string
  readonly single: boolean
  /** Each as `encodeNativeRow` wrote it. */
  readonly rows: readonly string[]
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<string, number>>
}
