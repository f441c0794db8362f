// What keeps a file of another library from becoming an ONNX model.
import { defineErrors } from '../../core/index.js'

/** `file` is as the person who pushes named it. */
export const ConvertErrors = defineErrors('CONVERT', {
  UNREADABLE: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { file: string; reason: string }) =>
      `"${p.file}" looks like a model of XGBoost or LightGBM but cannot be read: ${p.reason}. Save it again with save_model.`,
  },
  UNSUPPORTED: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { file: string; found: string; remedy: string }) =>
      `"${p.file}" cannot be converted to ONNX: it has ${p.found}. ${p.remedy}`,
  },
  TOO_LARGE: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { file: string; what: string; limit: number; actual: number }) =>
      `"${p.file}" is too large to be converted: ${p.actual} ${p.what}, and at most ${p.limit} are taken. Train a smaller model, or export it to ONNX where you train (onnxmltools).`,
  },
  DIFFERS: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { file: string; output: string; expected: number; actual: number; row: string }) =>
      `"${p.file}" was converted to ONNX, but ONNX Runtime answers otherwise than the trees: ${p.output} is ${p.actual} and should be ${p.expected} for the features ${p.row}. It was not published. Export it to ONNX where you train (onnxmltools), and report this.`,
  },
  FAILED: {
    status: 500,
    retry: true,
    level: 'error',
    message: (p: { file: string; reason: string }) =>
      `Converting "${p.file}" to ONNX failed: ${p.reason}. Try again; if memory is short, export it to ONNX where you train.`,
  },
})
