// What the main thread and a script's thread say to each other.
import type { Signature } from '../../tensor/index.js'
import type { RawTensor } from '../onnx/session.js'
import type { Failure } from './failure.js'

export interface OpenedScript {
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  /** Undefined: the script does not say. */
  readonly timeoutMs: number | undefined
}

export type Request =
  /** Reads the file, checks its digest and turns it into plain JavaScript. Brings a compiler of 30 MB into the thread. */
  | { readonly kind: 'compile'; readonly file: string; readonly digest: string }
  /** Evaluates what `compile` answered. */
  | { readonly kind: 'open'; readonly file: string; readonly code: string }
  | {
      readonly kind: 'run'
      readonly inputs: readonly RawTensor[]
      /** Indices of the outputs wanted; undefined means all. */
      readonly outputs: readonly number[] | undefined
    }

export interface Envelope {
  readonly id: number
  readonly request: Request
}

/** Each request fills in what it is asked for. */
export interface Answer {
  code?: string
  opened?: OpenedScript
  tensors?: RawTensor[]
}

export interface Reply {
  readonly id: number
  readonly answer: Answer | undefined
  readonly failure: Failure | undefined
}
