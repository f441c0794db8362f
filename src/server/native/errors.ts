// What can be wrong with a native call beyond its JSON and its rows, which report as TENSOR_….
import { defineErrors } from '../../core/index.js'

export const NativeErrors = defineErrors('NATIVE', {
  MEMBER_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { member: string; suggestion: string | undefined }) =>
      `The request has "${p.member}", which a native call does not know. ${
        p.suggestion === undefined
          ? 'It knows "inputs", "unit", "entities", "outputs", "priority" and "metadata".'
          : `Did you mean "${p.suggestion}"?`
      }`,
  },
  ENTITIES_TOO_MANY: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { limit: number }) =>
      `A row has more than ${p.limit} keys in "entities". Send those that features are looked up by.`,
  },
  METADATA_TOO_MUCH: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { limit: number }) =>
      `The request has more than ${p.limit} keys in "metadata". Send those that routes look at.`,
  },
  ROWS_MISMATCH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { member: string; rows: number; arrived: number }) =>
      `"${p.member}" is a list of ${p.arrived}, but "inputs" has ${p.rows} ${p.rows === 1 ? 'row' : 'rows'}. Send one for each row, or a single one for all.`,
  },
})
