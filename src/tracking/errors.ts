// What can go wrong with experiments, runs and what they logged. Every one of these is the caller's to mend: none is a 5xx.
import { defineErrors } from '../core/index.js'

export const TrackingErrors = defineErrors('TRACKING', {
  VALUE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { what: string; problem: string }) => `${p.what} ${p.problem}.`,
  },
  TOO_LONG: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { what: string; length: number; limit: number }) =>
      `${p.what} is ${p.length} characters long; at most ${p.limit} are kept.`,
  },
  TOO_MANY: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { what: string; count: number; limit: number }) =>
      `${p.count} ${p.what} arrived in one request; at most ${p.limit} are taken. Send them in several.`,
  },
  PARAM_CHANGED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { key: string; runId: string; old: string; arrived: string }) =>
      `Changing param values is not allowed. Param with key='${p.key}' was already logged with value='${p.old}' for run ID='${p.runId}'. Attempted logging new value '${p.arrived}'.`,
  },
  EXPERIMENT_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { experiment: string }) => `No experiment "${p.experiment}" exists.`,
  },
  EXPERIMENT_EXISTS: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { name: string; isDeleted: boolean }) =>
      p.isDeleted
        ? `Experiment(name=${p.name}) already exists in the deleted state. Restore it, or choose another name.`
        : `Experiment(name=${p.name}) already exists. Use it, or choose another name.`,
  },
  EXPERIMENT_STATE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { experiment: string; state: string }) =>
      p.state === 'default'
        ? 'The experiment "Default" cannot be deleted.'
        : `The experiment ${p.experiment} must be in the 'active' state. Its state is ${p.state}: restore it first.`,
  },
  RUN_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { runId: string }) => `Run with id=${p.runId} not found.`,
  },
  RUN_DELETED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { runId: string }) =>
      `The run ${p.runId} must be in the 'active' state. Its state is deleted: restore it first.`,
  },
  MODEL_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { modelId: string }) => `Logged model with ID '${p.modelId}' not found.`,
  },
  TAG_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { key: string; of: string }) => `No tag with name: ${p.key} in ${p.of}.`,
  },
  FILTER_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string; at: number; text: string }) =>
      `The filter cannot be read: ${p.problem}, at character ${p.at + 1} of: ${p.text}`,
  },
  ORDER_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { text: string; problem: string }) => `Cannot order by "${p.text}": ${p.problem}.`,
  },
  PAGE_TOKEN_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: () => 'The page token is none that this search gave. Leave it out to start with the first page.',
  },
  ARTIFACT_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { path: string }) => `No such artifact: '${p.path}'.`,
  },
  ARTIFACT_PATH_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { path: string; problem: string }) => `Invalid path: '${p.path}' ${p.problem}.`,
  },
  RANGE_INVALID: {
    status: 416,
    retry: false,
    level: 'info',
    message: (p: { range: string; sizeBytes: number }) =>
      `The range "${p.range}" does not lie in the file, which has ${p.sizeBytes} bytes.`,
  },
  UPLOAD_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { uploadId: string }) => `No upload "${p.uploadId}" is under way. Begin the artifact again.`,
  },
  UPLOAD_INCOMPLETE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { uploadId: string; problem: string }) =>
      `The upload "${p.uploadId}" cannot be completed: ${p.problem}. Send what is missing and complete it again.`,
  },
})
