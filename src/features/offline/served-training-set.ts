// Log-and-train: a training set of what was served. Nothing is computed again, so there is no way for it to differ from what models saw;
// outcomes join their predictions. Rows go through files, so that memory does not grow with the log.
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { finished } from 'node:stream/promises'
import type { CompiledService } from '../compiled.js'
import type { Value } from '../value.js'
import type { ServedVector } from '../verify/types.js'
import { openDuck } from './duck.js'
import { ident, literal } from './sql-text.js'
import { duckType } from './value-sql.js'

/** What the log says, in its order: an outcome may come before or after its prediction. */
export type LoggedRow =
  | {
      readonly kind: 'served'
      readonly vector: ServedVector
      /** The version that answered; null when none did. */
      readonly model: string | null
      readonly version: number | null
      /** What the model was given, by input. */
      readonly inputs: Readonly<Record<string, { readonly datatype: string; readonly value: unknown }>>
      /** 1 / sampling probability. */
      readonly weight: number
    }
  | {
      readonly kind: 'outcome'
      /** `id`, or `id#row`. */
      readonly predictionId: string
      readonly name: string
      readonly value: string | number | boolean
      readonly knownMs: number
    }

export interface ServedTrainingSetRequest {
  readonly service: CompiledService
  readonly rows: AsyncIterable<LoggedRow>
  /** Parquet, CSV or JSON by its extension. Written beside and renamed when whole. */
  readonly out: string
  readonly tempFolder: string
  readonly memoryLimitBytes: number
  readonly threads: number
  readonly signal?: AbortSignal
}

export interface ServedTrainingSetReport {
  readonly rows: number
  readonly out: string
  /** Rows that have each outcome. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly columns: readonly string[]
}

/**
 * Columns: `prediction_id`, `event_timestamp` (the moment of serving), `model`, `version`, `weight`, the service's keys, its features as
 * served, `input.<name>` for every other input of the model, and a column for each outcome (the value known last; null where there is
 * none). Of a feature that the service calls like an outcome, the outcome is `outcome.<name>`.
 */
export async function writeServedTrainingSet(request: ServedTrainingSetRequest): Promise<ServedTrainingSetReport> {
  const { service, out, tempFolder, signal } = request
  await mkdir(tempFolder, { recursive: true })
  const folder = await mkdtemp(join(tempFolder, 'served-'))
  const duck = await openDuck({ ...request, root: dirname(out) })
  try {
    const { inputs, outcomes, rows } = await spool(request, folder)
    signal?.throwIfAborted()
    const keys = service.keys.map(({ name, type }) => [name, duckType(type)] as const)
    const features = service.features.map(({ name, type }) => [name, duckType(type)] as const)
    const taken = new Set(['prediction_id', 'event_timestamp', 'model', 'version', 'weight'])
    for (const [name] of [...keys, ...features]) taken.add(name)
    const outcomeColumns = [...outcomes].map(([name, type]) => [name, taken.has(name) ? `outcome.${name}` : name, type])
    const select = [
      'p.prediction_id',
      'epoch_ms(p.at_ms) AS event_timestamp',
      'p.model',
      'p.version',
      'p.weight',
      ...keys.map(([name]) => `p.${ident(`k.${name}`)} AS ${ident(name)}`),
      ...service.features.map(({ name, type }) =>
        type === 'timestamp'
          ? `epoch_ms(p.${ident(`f.${name}`)}) AS ${ident(name)}`
          : `p.${ident(`f.${name}`)} AS ${ident(name)}`,
      ),
      ...[...inputs.keys()].map((name) => `p.${ident(`i.${name}`)} AS ${ident(`input.${name}`)}`),
      ...outcomeColumns.map(([name, as, type]) => `CAST(o.known[${literal(name!)}] AS ${type}) AS ${ident(as!)}`),
    ]
    const columns: (readonly [string, string])[] = [
      ['prediction_id', 'VARCHAR'],
      ['at_ms', 'BIGINT'],
      ['model', 'VARCHAR'],
      ['version', 'INTEGER'],
      ['weight', 'DOUBLE'],
      ...keys.map(([name, type]) => [`k.${name}`, type] as const),
      ...features.map(([name, type]) => [`f.${name}`, type] as const),
      ...[...inputs].map(([name, type]) => [`i.${name}`, type] as const),
    ]
    await duck.run(`CREATE VIEW p AS SELECT * FROM ${jsonFile(join(folder, 'served.json'), columns)}`)
    await duck.run(
      `CREATE VIEW newest AS SELECT prediction_id, name, arg_max(value, known_ms) AS value
       FROM ${jsonFile(join(folder, 'outcomes.json'), [
         ['prediction_id', 'VARCHAR'],
         ['name', 'VARCHAR'],
         ['value', 'VARCHAR'],
         ['known_ms', 'DOUBLE'],
       ])} GROUP BY prediction_id, name`,
    )
    await duck.run(
      `CREATE VIEW o AS SELECT prediction_id, map(list(name), list(value)) AS known FROM newest GROUP BY prediction_id`,
    )
    const partial = join(dirname(out), `.${basename(out)}.partial`)
    const format = out.endsWith('.csv')
      ? 'FORMAT csv, HEADER'
      : out.endsWith('.json')
        ? 'FORMAT json'
        : 'FORMAT parquet, COMPRESSION zstd'
    await mkdir(dirname(out), { recursive: true })
    await duck.run(
      `COPY (SELECT ${select.join(', ')} FROM p LEFT JOIN o ON o.prediction_id = p.prediction_id ORDER BY p.at_ms, p.prediction_id)
       TO ${literal(partial)} (${format})`,
    )
    await rename(partial, out)
    const counts: Record<string, number> = {}
    for (const [name] of outcomes) {
      const [[count]] = (await duck.rows(
        `SELECT count(*) FROM p JOIN newest n ON n.prediction_id = p.prediction_id AND n.name = ${literal(name)}`,
      )) as [[bigint]]
      counts[name] = Number(count)
    }
    return {
      rows,
      out,
      outcomes: counts,
      columns: [
        ...['prediction_id', 'event_timestamp', 'model', 'version', 'weight'],
        ...[...keys, ...features].map(([name]) => name),
        ...[...inputs.keys()].map((name) => `input.${name}`),
        ...outcomeColumns.map(([, as]) => as!),
      ],
    }
  } finally {
    await duck.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Both kinds of rows as lines of JSON; on the way, what inputs and outcomes there are and of which types. */
async function spool({ service, rows, signal }: ServedTrainingSetRequest, folder: string) {
  const served = createWriteStream(join(folder, 'served.json'))
  const known = createWriteStream(join(folder, 'outcomes.json'))
  const features = new Set(service.features.map(({ name }) => name))
  const inputs = new Map<string, string>()
  const outcomes = new Map<string, 'DOUBLE' | 'VARCHAR'>()
  let count = 0
  const write = async (into: typeof served, line: unknown): Promise<void> => {
    if (!into.write(`${JSON.stringify(line, plain)}\n`)) await once(into, 'drain')
  }
  try {
    for await (const row of rows) {
      signal?.throwIfAborted()
      if (row.kind === 'outcome') {
        const { predictionId: prediction_id, name, value, knownMs: known_ms } = row
        if (typeof value === 'string') outcomes.set(name, 'VARCHAR')
        else if (!outcomes.has(name)) outcomes.set(name, 'DOUBLE')
        await write(known, { prediction_id, name, value: typeof value === 'boolean' ? Number(value) : value, known_ms })
        continue
      }
      const { vector, model, version, weight } = row
      const line: Record<string, unknown> = {
        prediction_id: vector.predictionId,
        at_ms: vector.atMs,
        model,
        version,
        weight,
      }
      for (const { name } of service.keys) line[`k.${name}`] = vector.keys[name] ?? null
      for (const { name } of service.features) line[`f.${name}`] = vector.values[name] ?? null
      for (const [name, { datatype, value }] of Object.entries(row.inputs)) {
        if (features.has(name)) continue
        const type = `${inputType(datatype)}${Array.isArray(value) ? '[]' : ''}`
        const before = inputs.get(name)
        // Versions may call different things by one name.
        inputs.set(name, before === undefined || before === type ? type : 'VARCHAR')
        line[`i.${name}`] = value
      }
      await write(served, line)
      count++
    }
  } finally {
    served.end()
    known.end()
    await Promise.all([finished(served), finished(known)])
  }
  return { inputs, outcomes, rows: count }
}

function inputType(datatype: string): string {
  if (datatype === 'BYTES') return 'VARCHAR'
  if (datatype === 'BOOL') return 'BOOLEAN'
  return datatype.includes('FP') || datatype === 'BF16' ? 'DOUBLE' : datatype.startsWith('UINT') ? 'UBIGINT' : 'BIGINT'
}

function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && !Number.isFinite(value)) return Number.isNaN(value) ? null : String(value)
  return value instanceof Float32Array ? Array.from(value) : (value as Value)
}

function jsonFile(file: string, columns: readonly (readonly [string, string])[]): string {
  const types = columns.map(([name, type]) => `${ident(name)}: ${literal(type)}`).join(', ')
  return `read_json(${literal(file)}, format = 'newline_delimited', columns = {${types}})`
}
