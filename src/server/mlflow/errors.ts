// What can be wrong with a request in MLflow's shape, beyond experiments and runs (TRACKING_…) and the registry (REGISTRY_…).
import { defineErrors } from '../../core/index.js'

export const MlflowErrors = defineErrors('MLFLOW', {
  PARAMETER_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { parameter: string }) => `Missing value for required parameter '${p.parameter}'.`,
  },
  PARAMETER_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { parameter: string; arrived: string; expected: string }) =>
      `Invalid value ${p.arrived} for parameter '${p.parameter}' supplied: it is to be ${p.expected}.`,
  },
  ALIAS_NOT_FOUND: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { alias: string; model: string }) => `Registered model alias ${p.alias} not found for "${p.model}".`,
  },
  SOURCE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { source: string; problem: string }) =>
      `The source "${p.source}" cannot be registered: ${p.problem}. Log the model to this server first, and register what was logged (models:/<model id>, runs:/<run id>/<path>).`,
  },
  UPLOAD_CUT: {
    status: 400,
    retry: true,
    level: 'info',
    message: (p: { path: string }) =>
      `The connection ended before all of '${p.path}' had arrived. Nothing of it is kept; send it again.`,
  },
})
