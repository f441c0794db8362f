// What was served, read back from the log: for checks against the definitions, and for training sets of exactly what models were given.
// A prediction whose payload was not sampled, or whose keys may not be kept, is not there.
import { checkValue, type LoggedRow, type ServedVector, type Value, type ValueType } from '../../features/index.js'
import {
  readRecords,
  type StoredColumn,
  type StoredPrediction,
  type StoredRecord,
  type StoredServed,
  type StoredTensor,
} from '../../log/index.js'

export interface ServedRange {
  readonly service: string
  /** Served at this moment or later, and before `toMs`. */
  readonly fromMs: number
  readonly toMs: number
}

/** In the order of the log. */
export async function* servedFromLog(folder: string, range: ServedRange): AsyncIterable<ServedVector> {
  for await (const record of recordsOf(folder, range)) {
    if (record.kind !== 'prediction' || !isOf(record, range)) continue
    for (let row = 0; row < record.rows; row++) yield vectorOf(record, record.payload!.served!, range.service, row)
  }
}

/** The same with what the model was given beside, and the outcomes that joined them: those known before `toMs`. Without predictions that failed. */
export async function* rowsFromLog(
  folder: string,
  range: ServedRange & { readonly outcome?: string | undefined },
): AsyncIterable<LoggedRow> {
  for await (const record of recordsOf(folder, range)) {
    if (record.kind === 'outcome') {
      if (record.knownMs >= range.toMs || (range.outcome !== undefined && record.name !== range.outcome)) continue
      const { prediction, name, value, knownMs } = record
      yield { kind: 'outcome', predictionId: prediction, name, value, knownMs }
    } else if (record.kind === 'prediction' && record.error === null && isOf(record, range)) {
      const call = record.calls[record.answeredBy ?? record.calls.findLastIndex(({ status }) => status === 'ok')]
      for (let row = 0; row < record.rows; row++)
        yield {
          kind: 'served',
          vector: vectorOf(record, record.payload!.served!, range.service, row),
          model: call?.model ?? null,
          version: call?.version ?? null,
          inputs: inputsOf(record.payload!.inputs, record.rows, row),
          weight: record.payload!.weight,
        }
    }
  }
}

/** A record is written within the longest deadline of what it tells. */
const MAX_LATENCY_MS = 3_600_000
/** Clocks are set. */
const CLOCK_SLACK_MS = 60_000

/** Every record that may be of the range, and few others: a log of months is not read for the sake of a day. */
async function* recordsOf(folder: string, { fromMs, toMs }: ServedRange): AsyncIterable<StoredRecord> {
  for await (const record of readRecords(folder, { writtenSinceMs: fromMs - CLOCK_SLACK_MS })) {
    if (record.kind === 'prediction' && record.timeMs >= toMs + MAX_LATENCY_MS + CLOCK_SLACK_MS) return
    yield record
  }
}

function isOf({ payload }: StoredPrediction, { service, fromMs, toMs }: ServedRange): boolean {
  const served = payload?.served
  if (served === undefined) return false
  return served.services.includes(service) && served.atMs >= fromMs && served.atMs < toMs
}

function vectorOf({ id, rows }: StoredPrediction, served: StoredServed, service: string, row: number): ServedVector {
  const values: Record<string, Value> = {}
  const sources: Record<string, ServedVector['sources'][string]> = {}
  const gaps: Record<string, ServedVector['gaps'][string]> = {}
  const agesMs: Record<string, number> = {}
  for (const group of served.groups) {
    if (group.redacted || (group.services !== undefined && !group.services.includes(service))) continue
    const source = group.source ?? group.sources?.[row]
    const gap = group.gap ?? group.gaps?.[row]
    const ageMs = group.ageMs ?? group.agesMs?.[row] ?? undefined
    for (const [i, name] of group.names.entries()) {
      const stored = group.values === undefined ? group.rowValues?.[i]?.[row] : group.values[i]
      values[name] = restored(group.type as ValueType, stored)
      sources[name] = source as ServedVector['sources'][string]
      if (gap !== undefined) gaps[name] = gap as ServedVector['gaps'][string]
      if (ageMs !== undefined) agesMs[name] = ageMs
    }
  }
  return {
    predictionId: rows === 1 ? id : `${id}#${row}`,
    service,
    atMs: served.atMs,
    keys: rowOf(served.keys, row),
    values,
    sources,
    gaps,
    agesMs,
    request: rowOf(served.request, row),
  }
}

function at(column: StoredColumn, row: number): unknown {
  return column.values === undefined ? column.value : column.values[row]
}

function rowOf(columns: Readonly<Record<string, StoredColumn>>, row: number): Record<string, Value> {
  const values: Record<string, Value> = {}
  for (const [name, column] of Object.entries(columns)) values[name] = (at(column, row) ?? null) as Value
  return values
}

/** As it was before it became JSON. */
function restored(type: ValueType, stored: unknown): Value {
  if (type.startsWith('float')) {
    if (Array.isArray(stored)) return checkValue(type, stored.map(number))
    return checkValue(type, number(stored))
  }
  return checkValue(type, stored)
}

function number(stored: unknown): unknown {
  return stored === 'Infinity' || stored === '-Infinity' ? Number(stored) : stored
}

function inputsOf(tensors: readonly StoredTensor[], rows: number, row: number): LoggedInputs {
  const inputs: Record<string, LoggedInputs[string]> = {}
  for (const { name, datatype, shape, data } of tensors) {
    const width = data.length / rows
    const isScalar = width === 1 && (shape.length === 1 || shape[1] === 1)
    const value = isScalar ? data[row] : data.slice(row * width, (row + 1) * width)
    inputs[name] = { datatype, value }
  }
  return inputs
}

type LoggedInputs = Extract<LoggedRow, { kind: 'served' }>['inputs']
