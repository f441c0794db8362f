// What the server and a process with models say to each other. Everything but tensors is JSON; requests have an id, which their
// answer carries, and what the process says by itself has the id 0.
import type { SerializedError } from '../../core/index.js'
import type { Signature, VersionArtifact } from '../../tensor/index.js'
import type { OnnxBackendsOptions } from '../onnx/create-onnx-backends.js'

/** The first byte of a frame after its mark. */
export const Kind = {
  /** To the process: `StartRequest`. Its answer says that it is up. */
  START: 1,
  /** `LoadRequest`; answered with `LoadedVersion`. */
  LOAD: 2,
  /** Four bytes that name the version, then two for each output wanted; none: all. Answered with tensors. */
  RUN: 3,
  /** `ReleaseRequest`. */
  RELEASE: 4,
  /** `MemoryRequest`: collects garbage and answers with `MemoryReport`. */
  MEMORY: 5,
  /** A request worked; what it answers depends on it. */
  DONE: 6,
  /** A request failed: a `SerializedError`. */
  FAILED: 7,
  /** `MemoryReport`, now and then. */
  REPORT: 8,
  /** `LogLine`. */
  LOG: 9,
} as const

export interface StartRequest {
  readonly group: string
  /** Added to the priority of the process; 0 for none. */
  readonly niceness: number
  readonly onnx: ProcessOnnxOptions
}

/** What of the ONNX backend's options crosses to a process. */
export type ProcessOnnxOptions = Omit<OnnxBackendsOptions, 'onFailure' | 'worker'>

export interface LoadRequest {
  /** Chosen by the server, and kept when the process is started again. */
  readonly handle: number
  readonly artifact: VersionArtifact
}

export interface LoadedVersion {
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly providers?: readonly string[] | undefined
  /** By how much the resident memory of the process grew. */
  readonly grownBytes: number
  readonly rssBytes: number
}

export interface ReleaseRequest {
  readonly handle: number
}

export interface MemoryRequest {
  /** With a thread that is ready to load. */
  readonly hasLoader: boolean
}

export interface MemoryReport {
  readonly rssBytes: number
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export type { SerializedError }
