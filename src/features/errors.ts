import { defineErrors } from '../core/index.js'

/** A mistake in a definition: where, what, and what to do about it. */
export interface DefinitionProblem {
  /** `view user_spend › features.spend_30d` */
  readonly path: string
  readonly problem: string
  readonly remedy: string
}

export const FeatureErrors = defineErrors('FEATURE', {
  DURATION: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { where: string; arrived: string }) =>
      `${p.where}: "${p.arrived}" is no length of time. Write a number and a unit, such as "10m", "1h" or "30d", or milliseconds.`,
  },
  DEFINITION_INVALID: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { problems: readonly DefinitionProblem[] }) =>
      `The feature definitions are not usable:\n${p.problems.map((one) => `  ${one.path}: ${one.problem} ${one.remedy}`).join('\n')}`,
  },
  VALUE_TYPE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { what: string; type: string; arrived: string }) =>
      `${p.what} is to be ${p.type}, but ${p.arrived} arrived. Send such a value, or null where there is none.`,
  },
  KEY_TYPE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { key: string; type: string; arrived: string }) =>
      `Entity key "${p.key}" is ${p.type === 'int64' ? 'a whole number of 64 bits (larger ones than 2^53 as text)' : 'text'}, but ${p.arrived} arrived.`,
  },
  KEY_MISSING: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { key: string; needed: readonly string[] }) =>
      `Entity key "${p.key}" is missing. Needed here: ${p.needed.join(', ')}.`,
  },
  STATE_CORRUPT: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { view: string; problem: string }) =>
      `A stored window state of "${p.view}" cannot be read: ${p.problem}. Materialise the view again to rebuild it.`,
  },
})
