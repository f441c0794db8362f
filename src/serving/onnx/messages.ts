// What the main thread and a session thread say to each other: plain data, with arrays of numbers transferred.
import type { ExecutionProvider } from '../../tensor/index.js'
import type { Failure } from './failure.js'
import type { GraphCacheOptions } from './graph-cache.js'
import type { Probe, ProbeOptions } from './probe.js'
import type { PassedOver } from './providers.js'
import type { RawTensor, SessionOptions } from './session.js'

/** Reads, checks, prepares, opens and probes a file. The thread keeps the session and its bytes until `settle`. */
export interface LoadRequest extends ProbeOptions {
  readonly kind: 'load'
  readonly file: string
  readonly digest: string
  /** Whether the batcher keeps runs to `maxBatchSize` rows. */
  readonly isBatched: boolean
  /** In order of preference. */
  readonly providers: readonly ExecutionProvider[]
  /** Where optimised graphs are kept; undefined: nowhere. */
  readonly graphCache: GraphCacheOptions | undefined
  /** By the platform's clock. */
  readonly nowMs: number
}

export interface LoadedModel extends Probe {
  readonly session: number
  /** What a session elsewhere is opened with, but for the bytes. */
  readonly layout: Omit<SessionOptions, 'bytes'>
  readonly labels: readonly string[] | undefined
  readonly createMs: number
  /** See `placeOf`. */
  readonly isBounded: boolean
  /** An estimate: see `estimateMemoryBytes`. */
  readonly memoryBytes: number
  /** Those of the request that are used. */
  readonly providers: readonly ExecutionProvider[]
  readonly passedOver: readonly PassedOver[]
}

export type Request =
  /** Imports what loading needs, ahead of the first load. */
  | { readonly kind: 'prepare' }
  | LoadRequest
  /** Ends a load: the session stays in this thread, or it is released and its bytes are handed over. */
  | { readonly kind: 'settle'; readonly session: number; readonly stays: boolean }
  /** Opens a session from bytes that were checked, prepared and measured elsewhere. */
  | { readonly kind: 'open'; readonly options: SessionOptions }
  | {
      readonly kind: 'run'
      readonly session: number
      readonly inputs: readonly RawTensor[]
      /** Indices of the outputs wanted; undefined means all. */
      readonly outputs: readonly number[] | undefined
    }
  | { readonly kind: 'release'; readonly session: number }
  /** The thread releases what it holds and ends by itself. */
  | { readonly kind: 'close' }
  /** For drills: the thread ends as if it had failed, between runs. */
  | { readonly kind: 'die' }

export interface Envelope {
  readonly id: number
  readonly request: Request
}

/** Each request fills in what it is asked for. */
export interface Answer {
  loaded?: LoadedModel
  session?: number
  bytes?: Uint8Array
  tensors?: RawTensor[]
}

export interface Reply {
  readonly id: number
  readonly answer: Answer | undefined
  readonly failure: Failure | undefined
}
