// On-demand features of a training set: the transforms, called once per row in the order of the labels.
import type { DuckDBValue } from '@duckdb/node-api'
import { checkValue } from '../check-value.js'
import type { CompiledOnDemand, CompiledService, CompiledView } from '../compiled.js'
import type { Value } from '../value.js'
import type { Duck } from './duck.js'
import { type ReadValue, readerOf, writersOf } from './duck-values.js'
import { featureSql, type Joined, joinedSql } from './joined.js'
import { literal } from './sql-text.js'
import { duckType, valueSql } from './value-sql.js'

/** Writes rid and o0… into a Parquet file. A transform that throws, or returns what its type does not take, gives the default, as at request time. */
export async function computeOnDemand(duck: Duck, service: CompiledService, joined: Joined, to: string): Promise<void> {
  const inputs = inputColumns(service, joined)
  const outputs = service.features.filter(({ from }) => from.kind === 'on-demand')
  const types = outputs.map(({ type }) => type)
  const { BIGINT } = await import('@duckdb/node-api')
  const writers = await writersOf(types)
  await duck.run(
    `CREATE OR REPLACE TABLE computed (rid BIGINT${types.map((type, i) => `, o${i} ${duckType(type)}`).join('')})`,
  )
  const appending = await duck.append('computed', [BIGINT, ...writers.types])
  const select = inputs.map(({ sql }) => sql)
  for await (const chunk of duck.chunks(
    `SELECT l.rid, l.at_ms${select.map((one) => `, ${one}`).join('')} ${joinedSql(joined)}`,
  )) {
    const rids = chunk.getColumnValues(0)
    const moments = chunk.getColumnValues(1)
    const cells = inputs.map(({ read }, i) => chunk.getColumnValues(i + 2).map(read))
    const out: DuckDBValue[][] = [[...rids], ...types.map(() => [])]
    for (let at = 0; at < chunk.rowCount; at++) {
      const computed = computeRow(service, inputs, (i) => cells[i]![at]!, Number(moments[at]))
      outputs.forEach((feature, i) => {
        out[i + 1]!.push(writers.write[i]!(computed.get(feature.from.view.name)![feature.from.index]!))
      })
    }
    appending.add(out, chunk.rowCount)
  }
  appending.close()
  await duck.run(`COPY (SELECT * FROM computed ORDER BY rid) TO ${literal(to)} (FORMAT parquet, COMPRESSION lz4_raw)`)
  await duck.run('DROP TABLE computed')
}

interface Input {
  /** undefined: of the request. */
  readonly view: CompiledView | undefined
  readonly name: string
  readonly sql: string
  readonly read: ReadValue
}

/** What the transforms are given, each once. */
export function inputColumns(service: CompiledService, joined: Joined): Input[] {
  const inputs: Input[] = service.request.map(({ name, type }) => {
    const index = joined.labels.columns.findIndex((column) => column.name === name)
    return {
      view: undefined,
      name,
      sql: valueSql(`l.c${index}`, joined.labels.columns[index]!.type, type, undefined),
      read: readerOf(type),
    }
  })
  for (const view of new Set(service.onDemand.flatMap(({ views }) => views))) {
    view.features.forEach(({ name, type, fallback }, i) => {
      inputs.push({ view, name, sql: featureSql(joined.parts, view, i, fallback), read: readerOf(type) })
    })
  }
  return inputs
}

/** Values of each on-demand view by its name, in the order of its features. */
export function computeRow(
  service: CompiledService,
  inputs: readonly Pick<Input, 'view' | 'name'>[],
  inputOf: (input: number) => Value,
  atMs: number,
): Map<string, Value[]> {
  const request = new Map<string, Value>()
  const rows = new Map<string, Record<string, Value>>()
  inputs.forEach(({ view, name }, i) => {
    if (view === undefined) {
      request.set(name, inputOf(i))
      return
    }
    const row = rows.get(view.name) ?? {}
    row[name] = inputOf(i)
    rows.set(view.name, row)
  })
  return new Map(
    service.onDemand.map((view) => {
      const given: Record<string, unknown> = { atMs }
      given['request'] = Object.fromEntries(view.request.map(({ name }) => [name, request.get(name) ?? null]))
      for (const { name } of view.views) given[name] = rows.get(name)
      return [view.name, transformed(view, given)]
    }),
  )
}

/** One feature that cannot be taken costs all of its view, as at request time. */
function transformed(view: CompiledOnDemand, input: Readonly<Record<string, unknown>>): Value[] {
  try {
    const out = view.transform(input)
    return view.features.map(({ name, type }) => checkValue(type, out[name]))
  } catch {
    return view.features.map(({ fallback }) => fallback)
  }
}
