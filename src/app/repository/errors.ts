// Triton's clients look for "failed to load" and "failed to unload" in what they are told.
import { defineErrors } from '../../core/index.js'

export const RepositoryErrors = defineErrors('REPOSITORY', {
  MODEL_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { act: 'load' | 'unload'; model: string; known: readonly string[] }) =>
      `failed to ${p.act} '${p.model}': there is no model of that name. ${p.known.length === 0 ? 'There are no models.' : `The models are ${p.known.slice(0, 20).join(', ')}.`}`,
  },
  LOAD_FAILED: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { model: string; version: number | undefined; reason: string }) =>
      `failed to load '${p.model}'${p.version === undefined ? '' : ` version ${p.version}`}: ${p.reason} What was served before is served on.`,
  },
  CONFIG_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { model: string; problem: string }) =>
      `failed to load '${p.model}': its config cannot be used: ${p.problem}. It is Triton's ModelConfig as JSON.`,
  },
  CONFIG_UNSUPPORTED: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { model: string; key: string; remedy: string }) =>
      `failed to load '${p.model}': its config asks for "${p.key}", which this server does not do by a config. ${p.remedy}`,
  },
  FILE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { model: string; file: string; problem: string }) =>
      `failed to load '${p.model}': the file "${p.file}" cannot be taken: ${p.problem}. Files are "file:<version>/<path>" in base64: model.onnx, model.json and what model.onnx keeps its tensors in.`,
  },
  VERSION_TAKEN: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; file: string }) =>
      `failed to load '${p.model}': version ${p.version} is there already with another "${p.file}". Versions are immutable: send the files under a new number.`,
  },
  NOT_NOTICED: {
    status: 504,
    retry: true,
    level: 'error',
    message: (p: { model: string; version: number; waitedMs: number }) =>
      `failed to load '${p.model}': version ${p.version} was written to the models folder but not found there within ${p.waitedMs} ms. Ask for it to be loaded again.`,
  },
  STATE_CHANGED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string }) =>
      `Model '${p.model}' was loaded or unloaded again since. Undo what was decided last about it, or load or unload it.`,
  },
  CHANGE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { kind: string; problem: string }) => `A change of kind "${p.kind}" is not usable: ${p.problem}.`,
  },
})
