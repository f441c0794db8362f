import type { Digest, VersionRef } from '../core/index.js'

export interface PushOptions {
  /** The models folder; made if it is not there. */
  readonly folder: string
  readonly model: string
  /** The ONNX file. */
  readonly file: string
  /** Path of its model.json; default: `model.json` or `<base>.json` beside the file, if there is one. */
  readonly manifest?: string
  /** Default: one more than the highest number there. */
  readonly version?: number
  /** Makes a new version even when the newest has the same content. Default false. */
  readonly allowSame?: boolean
}
export declare function pushVersion(
  options: PushOptions,
): Promise<{ readonly ref: VersionRef; readonly digest: Digest }>
