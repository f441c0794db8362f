// What can be wrong with a request in Feast's shape beyond its features and keys, which report as FEATURE_….
import { defineErrors } from '../../core/index.js'

export const FeastErrors = defineErrors('FEAST', {
  BODY_INVALID: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { member: string; expected: string }) => `"${p.member}" of the body is to be ${p.expected}.`,
  },
  REFERENCE_INVALID: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { reference: string }) =>
      `"${p.reference.slice(0, 200)}" names no feature. Write "view:feature", or "view@v2:feature" for a version.`,
  },
  FEATURE_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { view: string; feature: string; known: readonly string[] }) =>
      `View "${p.view}" has no feature "${p.feature.slice(0, 200)}". It has: ${p.known.join(', ')}.`,
  },
  VIEW_VERSION: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { view: string; asked: string; version: number }) =>
      `Version "${p.asked.slice(0, 50)}" of view "${p.view}" is not served; version ${p.version} is. Leave the version out to read what is served.`,
  },
  NAMES_CLASH: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { name: string }) =>
      `Two of the features are called "${p.name}". Ask with "full_feature_names": true, which puts the view's name in front.`,
  },
  ROWS_UNEQUAL: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { member: string; column: string; rows: number; expected: number }) =>
      `Column "${p.column}" of "${p.member}" has ${p.rows} rows, the one before it ${p.expected}. Send a value for every row in each column.`,
  },
  ROWS_NONE: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { member: string }) =>
      `"${p.member}" has no row. Send at least one column with at least one value, such as {"user_id": ["u1"]}.`,
  },
  TIME_INVALID: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { member: string; arrived: string }) =>
      `"${p.member}" is to be a time in ISO 8601, such as "2026-11-22T10:00:00Z" (without a zone it is UTC); "${p.arrived.slice(0, 100)}" arrived.`,
  },
  EVENTS_REFUSED: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { source: string; refused: number; problem: string }) =>
      `None of the ${p.refused} events for "${p.source}" was taken in. The first one: ${p.problem}`,
  },
})
