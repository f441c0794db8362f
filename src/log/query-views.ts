// The SQL views over the segments. Their columns are a contract with whoever wrote a query down: add, never rename.
import type { Segment } from './segment.js'

/** A segment and the first position it has no say about, when a failed disk left its end to be written again in the next. */
export interface QueriedSegment {
  readonly segment: Segment
  readonly supersededFrom: number | undefined
}

// One reading serves every view: DuckDB extracts only the columns a query uses. Names as they stand in the lines.
const CALL = `STRUCT(leaf VARCHAR, model VARCHAR, version INTEGER, "role" VARCHAR, status VARCHAR, latencyMs DOUBLE, queueMs DOUBLE, batchRows INTEGER, cached VARCHAR)`
const LINE_COLUMNS: Readonly<Record<string, string>> = {
  seq: 'BIGINT',
  kind: 'VARCHAR',
  timeMs: 'DOUBLE',
  endpoint: 'VARCHAR',
  tenant: 'VARCHAR',
  id: 'VARCHAR',
  unit: 'VARCHAR',
  rows: 'BIGINT',
  protocol: 'VARCHAR',
  route: 'STRUCT(node VARCHAR, arm VARCHAR, probability DOUBLE)[]',
  calls: `${CALL}[]`,
  answeredBy: 'INTEGER',
  flags: 'VARCHAR[]',
  stages: 'STRUCT(admit DOUBLE, features DOUBLE, "route" DOUBLE, shape DOUBLE)',
  cost: 'DOUBLE',
  traceId: 'VARCHAR',
  error: 'VARCHAR',
  payload: 'JSON',
  payloadDropped: 'VARCHAR',
  prediction: 'VARCHAR',
  call: CALL,
  name: 'VARCHAR',
  value: 'JSON',
  happenedMs: 'DOUBLE',
  knownMs: 'DOUBLE',
  change: 'VARCHAR',
  subject: 'VARCHAR',
  by: 'VARCHAR',
}

/** Statements that create the views. */
export function viewStatements(segments: readonly QueriedSegment[]): string[] {
  const lines = linesOf(segments)
  return [
    `CREATE VIEW predictions AS
     SELECT seq, id, ${time('timeMs')} AS time, endpoint, tenant, unit, "rows", protocol,
       ${ANSWERING}.model AS model, ${ANSWERING}.version AS version,
       stages.admit + stages.features + stages."route" + stages.shape AS latency_ms,
       "route", calls, flags,
       stages.admit AS admit_ms, stages.features AS features_ms, stages."route" AS route_ms, stages.shape AS shape_ms,
       cost, traceId AS trace_id, error,
       TRY_CAST(payload->>'$.weight' AS DOUBLE) AS weight, payload, payloadDropped AS payload_dropped,
       payload->'$.served' AS served
     FROM ${lines} WHERE kind = 'prediction'`,
    `CREATE VIEW calls AS
     SELECT seq, prediction, time, endpoint, tenant, late, call.leaf AS leaf, call.model AS model, call.version AS version,
       call."role" AS role, call.status AS status, call.latencyMs AS latency_ms, call.queueMs AS queue_ms,
       call.batchRows AS batch_rows, call.cached AS cached
     FROM (
       SELECT seq, id AS prediction, ${time('timeMs')} AS time, endpoint, tenant, false AS late, unnest(calls) AS call
       FROM ${lines} WHERE kind = 'prediction'
       UNION ALL
       SELECT seq, prediction, ${time('timeMs')}, endpoint, tenant, true, call FROM ${lines} WHERE kind = 'call'
     )`,
    `CREATE VIEW outcomes AS
     SELECT seq, id, ${time('timeMs')} AS time, split_part(prediction, '#', 1) AS prediction,
       TRY_CAST(split_part(prediction, '#', 2) AS BIGINT) AS "row", endpoint, tenant, name, value->>'$' AS value,
       CASE json_type(value) WHEN 'BOOLEAN' THEN CASE value->>'$' WHEN 'true' THEN 1 ELSE 0 END
         WHEN 'VARCHAR' THEN NULL ELSE TRY_CAST(value->>'$' AS DOUBLE) END AS number,
       ${time('happenedMs')} AS happened, ${time('knownMs')} AS known
     FROM ${lines} WHERE kind = 'outcome'`,
    `CREATE VIEW decisions AS
     SELECT seq, id, ${time('timeMs')} AS time, change, subject, "by" FROM ${lines} WHERE kind = 'decision'`,
    `CREATE VIEW records AS
     SELECT seq, kind, time, record FROM (
       SELECT CAST(record->>'$.seq' AS BIGINT) AS seq, record->>'$.kind' AS kind,
         ${time(`CAST(record->>'$.timeMs' AS DOUBLE)`)} AS time, record, file
       FROM ${objectsOf(segments)}
     ) WHERE kind <> 'commit' ${supersededFilter(segments, 'file')}`,
  ]
}

/** The call whose answer the caller got: the last that was well and no shadow, unless the record says which. None for a combination. */
const ANSWERING = `(CASE WHEN answeredBy IS NULL THEN [c FOR c IN calls IF c.status = 'ok' AND c."role" <> 'shadow'][-1]
  WHEN answeredBy >= 0 THEN calls[answeredBy + 1] END)`

function time(column: string): string {
  return `epoch_ms(CAST(${column} AS BIGINT))`
}

function linesOf(segments: readonly QueriedSegment[]): string {
  const columns = Object.entries(LINE_COLUMNS)
  if (segments.length === 0) {
    return `(SELECT ${columns.map(([name, type]) => `NULL::${type} AS "${name}"`).join(', ')} WHERE false)`
  }
  const types = columns.map(([name, type]) => `"${name}": ${literal(type)}`).join(', ')
  const reading = `read_json(${paths(segments)}, columns = {${types}}, filename = 'file', ${READ_OPTIONS})`
  return `(SELECT * FROM ${reading} WHERE seq IS NOT NULL ${supersededFilter(segments, 'file')})`
}

function objectsOf(segments: readonly QueriedSegment[]): string {
  if (segments.length === 0) return `(SELECT NULL::JSON AS record, NULL::VARCHAR AS file WHERE false)`
  return `(SELECT json AS record, file FROM read_json_objects(${paths(segments)}, filename = 'file', ${READ_OPTIONS}))`
}

// The line being written at this moment is cut off somewhere: it is left out.
const READ_OPTIONS = `format = 'newline_delimited', ignore_errors = true`

function supersededFilter(segments: readonly QueriedSegment[], file: string): string {
  return segments
    .filter(({ supersededFrom }) => supersededFrom !== undefined)
    .map(({ segment, supersededFrom }) => `AND NOT (${file} = ${literal(segment.path)} AND seq >= ${supersededFrom})`)
    .join(' ')
}

function paths(segments: readonly QueriedSegment[]): string {
  return `[${segments.map(({ segment }) => literal(segment.path)).join(', ')}]`
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
