import { defineErrors } from '../../core/index.js'

export const GateErrors = defineErrors('GATE', {
  NOT_PASSED: {
    status: 409,
    retry: false,
    level: 'warn',
    message: (p: { endpoint: string; model: string; version: number; reasons: readonly string[] }) =>
      `Version ${p.version} of "${p.model}" has not passed the gates of endpoint "${p.endpoint}": ${p.reasons.join(' ')} Run "headrace models check ${p.model}@${p.version} --endpoint ${p.endpoint}", or force the change with a reason, which is recorded.`,
  },
  REASON_NEEDED: {
    status: 400,
    retry: false,
    level: 'info',
    message: () => 'Passing by the gates needs a reason: send one with "force".',
  },
  VERSION_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: string; known: readonly number[] }) =>
      `There is no version ${p.version} of model "${p.model}". ${p.known.length === 0 ? 'It has none' : `It has: ${p.known.join(', ')}`}; add one with "headrace models push ${p.model} <file>".`,
  },
  VERSION_NOT_NAMED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { text: string }) =>
      `"${p.text}" does not name one version. Write the model and its number, like fraud@4; "headrace models list" shows them.`,
  },
  NOT_FOUND: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { gate: string; known: readonly string[] }) =>
      `No gate is named "${p.gate}". There are: ${p.known.join(', ')}.`,
  },
  ENDPOINT_OTHER_MODEL: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { endpoint: string; model: string; models: readonly string[] }) =>
      `Endpoint "${p.endpoint}" does not serve model "${p.model}" but ${p.models.map((model) => `"${model}"`).join(', ')}. Name another endpoint, or point this one at the model first.`,
  },
  VERSION_CHANGED: {
    status: 409,
    retry: true,
    level: 'warn',
    message: (p: { model: string; version: number }) =>
      `Version ${p.version} of "${p.model}" was replaced or unloaded while its gates were being checked. Check it again.`,
  },
  DATASET_UNREADABLE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { dataset: string; problem: string }) =>
      `Data set "${p.dataset}" cannot be used: ${p.problem} It is configured at datasets.${p.dataset}.`,
  },
  NO_REPORT: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { endpoint: string; model: string; version: number }) =>
      `The gates of endpoint "${p.endpoint}" were never checked for version ${p.version} of "${p.model}". Run "headrace models check ${p.model}@${p.version} --endpoint ${p.endpoint}".`,
  },
  APPROVAL_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) => `The approval is not one: ${p.problem}`,
  },
  APPROVER_IS_AUTHOR: {
    status: 403,
    retry: false,
    level: 'info',
    message: (p: { name: string; did: string }) =>
      `Four eyes: "${p.name}" ${p.did} this version, so somebody else has to approve it.`,
  },
  TOO_BUSY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { model: string; version: number; turnedAway: number }) =>
      `Version ${p.version} of "${p.model}" could not be measured: all ${p.turnedAway} calls were turned away because those of callers come first. Try again when the server is less busy.`,
  },
  TOO_MANY: {
    status: 429,
    retry: true,
    level: 'info',
    message: (p: { running: number; retryAfterMs: number }) =>
      `${p.running} checks and profiles are running, which is as many as run at once. Wait for one to end.`,
  },
  CANCELLED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { what: string }) => `The ${p.what} was cancelled.`,
  },
  JUDGE_FAILED: {
    status: 500,
    retry: true,
    level: 'error',
    message: (p: { problem: string }) => `The statistics of an evaluation could not be computed: ${p.problem}`,
  },
})
