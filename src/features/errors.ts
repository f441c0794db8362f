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
  EXPECTATION_INVALID: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { where: string; problem: string }) => `Expectation "${p.where}" cannot be judged: ${p.problem}.`,
  },
  SCHEMA_CHANGED: {
    status: 409,
    retry: false,
    level: 'error',
    message: (p: { source: string; changes: readonly string[] }) =>
      `The columns of source "${p.source}" have changed: ${p.changes.join('; ')}. Nothing was written. A column that has another name now belongs into the source's "renames"; where the meaning changed, raise the view's version, which is filled beside the old one.`,
  },
  EVENT_LOG_FAILED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { source: string; problem: string }) =>
      `The event log of "${p.source}" could not be used, so nothing was taken in: ${p.problem}. Look at the disk, then send the events again.`,
  },
  EVENT_FUTURE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { source: string; aheadMs: number; maxAheadMs: number }) =>
      `An event of "${p.source}" is ${p.aheadMs} ms ahead of its arrival; ${p.maxAheadMs} ms are allowed (maxAhead). Look at the sender's clock and the unit of its times (milliseconds).`,
  },
  EVENT_KEY_MISSING: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { source: string; keys: string }) =>
      `An event of "${p.source}" names no entity: it needs ${p.keys}. Send the key of at least one view that the source feeds.`,
  },
  INGEST_OVERLOADED: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { source: string; waiting: number; retryAfterMs: number }) =>
      `${p.waiting} events of "${p.source}" are waiting already. Send these again in ${p.retryAfterMs} ms, in smaller batches.`,
  },
  SOURCE_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { source: string; known: string }) =>
      `There is no stream source "${p.source}". Known: ${p.known === '' ? 'none' : p.known}.`,
  },
  VIEW_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { view: string; known: string; isSource?: boolean }) =>
      p.isSource
        ? `"${p.view}" is a source, not a feature view. Name one that reads it: ${p.known}.`
        : `There is no feature view "${p.view}". Known: ${p.known === '' ? 'none' : p.known}.`,
  },
  MATERIALISE_RUNNING: {
    status: 409,
    retry: true,
    level: 'info',
    message: (p: { view: string }) =>
      `"${p.view}" is being materialised already. Wait until it is done, or cancel it first.`,
  },
  MATERIALISE_CANCELLED: {
    status: 409,
    retry: true,
    level: 'info',
    message: (p: { view: string }) =>
      `The materialisation of "${p.view}" was cancelled. What was live before still is.`,
  },
  NOT_MATERIALISED: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { view: string; why: string }) => `"${p.view}" cannot be materialised: ${p.why}.`,
  },
  SWITCH_INVALID: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { view: string; problem: string }) => `"${p.view}" cannot be switched: ${p.problem}.`,
  },
  STORE_UNAVAILABLE: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { reason: string }) =>
      `The online feature store cannot be reached: ${p.reason}. Values are read and written again as soon as it answers.`,
  },
  STORE_NOT_KEPT: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { folder: string; reason: string }) =>
      `Features in memory could not be written to ${p.folder}: ${p.reason}. They are served, and written again in a moment; a restart before that loses what is new.`,
  },
  ROW_CORRUPT: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { problem: string }) =>
      `A stored feature row cannot be read: ${p.problem}. Materialise its view again to replace it.`,
  },
  SERVICE_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'warn',
    message: (p: { service: string; known: readonly string[] }) =>
      `No feature service named "${p.service.slice(0, 100)}". ${p.known.length === 0 ? 'The project defines none.' : `Known: ${p.known.slice(0, 20).join(', ')}.`}`,
  },
  KEY_UNKNOWN: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { key: string; suggestion: string | undefined; known: readonly string[] }) =>
      `"${p.key.slice(0, 100)}" is the key of no entity. ${p.suggestion === undefined ? `Keys here: ${p.known.slice(0, 20).join(', ')}.` : `Did you mean "${p.suggestion}"?`}`,
  },
  REQUEST_MISSING: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { input: string; view: string; type: string }) =>
      `Input "${p.input}" is missing: "${p.view}" computes features from it. Send it (${p.type}) among the inputs, or null where there is none.`,
  },
  SOURCE_UNREADABLE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { source: string; problem: string }) =>
      `Source "${p.source}" cannot be read: ${p.problem} See that its files (or its database) are there and hold what is declared.`,
  },
  SOURCE_SCHEMA: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { source: string; missing: string; columns: readonly string[]; meant?: string | undefined }) =>
      `Source "${p.source}" has no column "${p.missing}"${p.meant === undefined ? '' : `; did you mean "${p.meant}"`}. It has: ${p.columns.join(', ')}. Change the definition, or declare the column in the source's "renames".`,
  },
  SOURCE_TYPE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { source: string; column: string; arrived: string; wanted: string }) =>
      `Column "${p.column}" of source "${p.source}" is ${p.arrived}, which cannot be read as ${p.wanted}. Change its type there, or its declaration here.`,
  },
  LABELS_SCHEMA: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { labels: string; missing: string; why: string; columns: readonly string[] }) =>
      `The labels "${p.labels}" have no column "${p.missing}" (${p.why}). They have: ${p.columns.join(', ')}.`,
  },
  TRAINING_SET_INVALID: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { problem: string }) => `The training set cannot be made: ${p.problem}`,
  },
  TRAINING_SET_FAILED: {
    status: 500,
    retry: true,
    level: 'error',
    message: (p: { step: string; reason: string }) =>
      `The training set failed at "${p.step}": ${p.reason} Run it again: it goes on from the last finished step.`,
  },
  PROOF_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { row: number; feature: string; problem: string }) =>
      `The proof failed at label row ${p.row}, feature "${p.feature}": ${p.problem}. The training set was not written. Report this with the definition and the two rows.`,
  },
  NAME_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { name: string; suggestion: string | undefined }) =>
      `Nothing of features is called "${p.name.slice(0, 100)}".${p.suggestion === undefined ? '' : ` Did you mean "${p.suggestion}"?`} "headrace features list" shows what there is.`,
  },
  JOB_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { id: string }) =>
      `There is no job "${p.id.slice(0, 100)}". Jobs are kept while the server runs, the last hundred of them.`,
  },
  JOBS_TOO_MANY: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { running: number; retryAfterMs: number }) =>
      `${p.running} jobs are running already. Wait until one is done, or cancel one.`,
  },
  JOB_CANCELLED: {
    status: 409,
    retry: true,
    level: 'info',
    message: (p: { kind: string }) =>
      `The job (${p.kind}) was cancelled. What it had not finished was left as it was before.`,
  },
  VIEW_NOT_WRITABLE: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { view: string; why: string }) => `Rows cannot be written to "${p.view}": ${p.why}.`,
  },
  NONE_DEFINED: {
    status: 404,
    retry: false,
    level: 'info',
    message: () =>
      'This project defines no features. Export entities, views and services from modules in its features folder, or list them in headrace.config.ts: features.definitions.',
  },
  REFERENCE_UNKNOWN: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { reference: string; suggestion: string | undefined }) =>
      `No feature "${p.reference.slice(0, 200)}". ${p.suggestion === undefined ? 'Write "view:feature"; "headrace features list" shows them.' : `Did you mean "${p.suggestion}"?`}`,
  },
  INPUT_UNKNOWN: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { input: string; suggestion: string | undefined; known: readonly string[] }) =>
      `"${p.input.slice(0, 100)}" is no input here. ${p.suggestion === undefined ? (p.known.length === 0 ? 'No on-demand view is read, so there is none.' : `Inputs: ${p.known.slice(0, 20).join(', ')}.`) : `Did you mean "${p.suggestion}"?`}`,
  },
  ROWS_INVALID: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { where: string; problem: string }) =>
      `${p.where}: ${p.problem}. Send a list of objects, or columns of one length (a single value stands for every row).`,
  },
  READ_TOO_LARGE: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { rows: number; features: number; maxRows: number; maxValues: number }) =>
      `${p.rows} entities with ${p.features} features each are more than one request reads: at most ${p.maxRows} entities, and ${p.maxValues} values. Send several requests; for training sets use "headrace features training-set".`,
  },
  NO_REDIS: {
    status: 400,
    retry: false,
    level: 'error',
    message: () => 'features.online is "redis", but there is no address of one. Set store.redisUrl or REDIS_URL.',
  },
  POSITION_MOVED: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { table: string; stream: string }) =>
      `Events of "${p.stream}" were not taken into "${p.table}": another process has taken the stream on, or the store was emptied. They are taken in again from where the store is now.`,
  },
})
