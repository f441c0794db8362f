// What a push hands over and gets back when a file is not ONNX yet: the registry pushes, serving converts, and neither knows the other.

/** Libraries whose own files are converted. */
export type NativeFormat = 'xgboost' | 'lightgbm'

export interface ConvertedModel {
  /** The ONNX file. The same input gives the same bytes. */
  readonly bytes: Uint8Array
  /** What the file says of itself, as keys of model.json; the person who pushes may say otherwise. */
  readonly manifest: Readonly<Record<string, unknown>>
  /** What the person who pushes should know. */
  readonly notices: readonly string[]
}

/** Converts a file of one of those libraries. Rejects with a HeadraceError when it cannot, or when the result answers otherwise. */
export type ModelConverter = (file: string) => Promise<ConvertedModel>
