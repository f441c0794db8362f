import { defineErrors } from '../core/index.js'

export interface ConfigProblem {
  /** `endpoints.fraud.deadlineMs` */
  readonly path: string
  readonly problem: string
}

export const ConfigErrors = defineErrors('CONFIG', {
  INVALID: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { file: string; problems: readonly ConfigProblem[] }) =>
      `The configuration is not usable. ${p.file}:\n${p.problems.map(({ path, problem }) => `  ${path}: ${problem}`).join('\n')}`,
  },
  NOT_LOADABLE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { file: string; problem: string }) => `${p.file} could not be loaded: ${p.problem}`,
  },
  NOTHING_TO_SERVE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { path: string; found: string }) =>
      `Nothing to serve at ${p.path}: ${p.found}. Give a project folder (with headrace.config.ts), a models folder (<name>/<version>/model.onnx) or one .onnx file; "headrace init" makes a project.`,
  },
})

export const AppErrors = defineErrors('APP', {
  ALIAS_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { model: string; alias: string; known: readonly string[] }) =>
      `Model "${p.model}" has no alias "${p.alias}". ${p.known.length === 0 ? 'It has none;' : `It has: ${p.known.join(', ')};`} set one with "headrace models alias ${p.model} ${p.alias} <version>".`,
  },
  PREDICTION_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { id: string }) =>
      `No prediction "${p.id}" in the log. Check the id; it may also have been removed by retention, or be younger than the last commit (50 ms).`,
  },
  CACHE_NOT_DECLARED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { endpoint: string }) =>
      `Endpoint "${p.endpoint}" has no cache to switch. Declare one in the configuration: endpoints.${p.endpoint}.cache = {}.`,
  },
  NODE_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { node: string }) =>
      `No node "${p.node}" shares the metadata store of this server. "headrace nodes list" shows the ids of those that do; "self" is this one.`,
  },
  LIVE_BUSY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { most: number }) =>
      `The traffic of ${p.most} tenants is looked at already, and that is the most at once. Try again in two minutes.`,
  },
  NO_MODELS_FOLDER: {
    status: 409,
    retry: false,
    level: 'info',
    message: () =>
      'This server serves a single file, so there is no models folder to push into. Start it with a project or a models folder.',
  },
})

export const ProcessErrors = defineErrors('PROCESS', {
  GONE: {
    status: 503,
    retry: true,
    level: 'warn',
    message: () =>
      'The process that was to answer is gone; the server is replacing it or stopping. Send the request again.',
  },
  PROJECT_NOT_PLAIN: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { problem: string }) =>
      `The configuration cannot be handed to worker processes: ${p.problem}. Use plain values in it, or serve with --processes 1.`,
  },
})
