// Everything that can go wrong with an ONNX model: at load, at the boundary of a run, in a run, and with its thread.
import { defineErrors } from '../../core/index.js'

/** `model` is the version, as in `fraud/2`; code in threads leaves it out, because only the main side knows it. */
export const OnnxErrors = defineErrors('ONNX', {
  RUNTIME_MISSING: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; platform: string; reason: string }) =>
      `ONNX Runtime could not be loaded on ${p.platform}, so ${p.model} cannot be served: ${p.reason}. Check that the package onnxruntime-node is installed and has a binary for this platform.`,
  },
  FILE_UNREADABLE: {
    status: 500,
    retry: true,
    level: 'error',
    message: (p: { model: string; file: string; reason: string }) =>
      `The model file ${p.file} of ${p.model} could not be read: ${p.reason}. Check that it exists and that the server may read it.`,
  },
  DIGEST_MISMATCH: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; expected: string; actual: string; sizeBytes: number }) =>
      `The file of ${p.model} has the digest ${p.actual} (${p.sizeBytes} bytes), but ${p.expected} was expected: it changed after it was published, or was only half written. Publish it again under a new version number.`,
  },
  FILE_CORRUPT: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; reason: string; sizeBytes: number }) =>
      `The file of ${p.model} (${p.sizeBytes} bytes) is not a complete ONNX model: ${p.reason}. Check it with onnx.checker.check_model and publish it again.`,
  },
  MODEL_REFUSED: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; reason: string }) =>
      `ONNX Runtime refuses the graph of ${p.model}: ${p.reason}. Export it with operators and an opset that ONNX Runtime supports on CPU.`,
  },
  NOT_A_TENSOR: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; side: 'input' | 'output'; value: string; type: string }) =>
      `The ${p.side} "${p.value}" of ${p.model} is a ${p.type}; only tensors can be served. Export the model with tensors at its boundary (for a scikit-learn classifier: zipmap=False).`,
  },
  DATATYPE_UNSUPPORTED: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; side: 'input' | 'output'; value: string; type: string }) =>
      `The ${p.side} "${p.value}" of ${p.model} has the datatype ${p.type}, which the Open Inference Protocol does not have. Cast it inside the graph.`,
  },
  RANK_UNKNOWN: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; side: 'input' | 'output'; value: string }) =>
      `The graph of ${p.model} does not say how many dimensions its ${p.side} "${p.value}" has. Export it with a shape; sizes that vary may be symbolic.`,
  },
  EXTERNAL_DATA_INVALID: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; location: string; reason: string }) =>
      `${p.model} keeps weights in the side file "${p.location}": ${p.reason}. Side files belong in the folder of the model file; publish them with it.`,
  },
  BYTES_NOT_TEXT: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { model: string; input: string; element: number; reason: string }) =>
      `Element ${p.element} of the input "${p.input}" of ${p.model} ${p.reason}. Strings of ONNX models are UTF-8 text without NUL; send other bytes encoded, for example as base64.`,
  },
  INPUT_REFUSED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { model: string; reason: string }) =>
      `The inputs do not fit the graph of ${p.model}: ${p.reason}. Ask for the model's metadata to see its shapes and datatypes.`,
  },
  VALUES_REFUSED: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { model: string; operator: string; reason: string }) =>
      `The operator ${p.operator} of ${p.model} cannot compute with these values: ${p.reason}. Check indices, sizes and categories against what the model was trained with.`,
  },
  RUN_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; reason: string }) =>
      `A run of ${p.model} failed inside ONNX Runtime: ${p.reason}. The same inputs will fail again; serve another version or export the model anew.`,
  },
  THREAD_DIED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { model: string; reason: string }) =>
      `The thread that runs ${p.model} ended unexpectedly: ${p.reason}. Send the request again once the version is loaded anew.`,
  },
  PROVIDER_UNAVAILABLE: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; provider: string; reason: string }) =>
      `The execution provider "${p.provider}" that ${p.model} is to run on is not there: ${p.reason}. Install CUDA 12 and cuDNN 9 (and TensorRT 10) and fetch ONNX Runtime's part with "ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node"; or add "cpu" after it in "providers"; or serve the model with Triton and a remote.json. "headrace doctor" says what is there.`,
  },
  PROVIDER_OPTION_UNKNOWN: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { model: string; provider: string; option: string }) =>
      `The execution provider "${p.provider}" of ${p.model} has no option "${p.option}" here: ONNX Runtime's Node binding takes "deviceId" of cuda and tensorrt, and no other. Leave it out, or serve the model with Triton and a remote.json, which has them all.`,
  },
  PROVIDER_OPTION_INVALID: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { model: string; provider: string; option: string; value: string }) =>
      `The option "${p.option}" of the execution provider "${p.provider}" of ${p.model} is "${p.value}"; it is the number of a GPU, from 0 on.`,
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { model: string }) =>
      `${p.model} was unloaded. Send the request again to reach the version that replaced it.`,
  },
})
