// What a view's features were at given moments, all in one plan.
import type { DuckDBValue } from '@duckdb/node-api'
import type { CompiledView } from '../compiled.js'
import { decodeKey } from '../entity-key.js'
import type { Value, ValueType } from '../value.js'
import { planSql } from './as-of-sql.js'
import { readerOf, writersOf } from './duck-values.js'
import { type SourceAccess, sourceOf, unreadable } from './relation.js'
import { replayWindows } from './replay.js'
import { duckType } from './value-sql.js'
import { wholeRelation } from './whole-relation.js'

export async function valuesAtMoments(
  access: SourceAccess,
  view: CompiledView,
  moments: readonly { readonly key: string; readonly atMs: number }[],
): Promise<(readonly Value[] | undefined)[]> {
  const answers = new Array<readonly Value[] | undefined>(moments.length).fill(undefined)
  if (moments.length === 0) return answers
  const { duck } = access
  const { BIGINT } = await import('@duckdb/node-api')
  const types: ValueType[] = view.keys.map(({ type }) => type)
  const columns = types.map((type, i) => `k${i} ${duckType(type)}`)
  await duck.run(`CREATE TABLE moments (rid BIGINT, at_ms BIGINT, ${columns.join(', ')})`)
  const writers = await writersOf(types)
  const appending = await duck.append('moments', [BIGINT, BIGINT, ...writers.types])
  const out: DuckDBValue[][] = [[], [], ...types.map(() => [])]
  moments.forEach(({ key, atMs }, rid) => {
    out[0]!.push(BigInt(rid))
    out[1]!.push(BigInt(Math.floor(atMs)))
    decodeKey(view.keys, key).forEach((part, i) => {
      out[i + 2]!.push(writers.write[i]!(part))
    })
  })
  appending.add(out, moments.length)
  appending.close()

  const relation = await wholeRelation(access, view)
  let select = planSql('duckdb', { labels: 'moments', relation, ttlMs: view.kind === 'rows' ? view.ttlMs : undefined })
  try {
    if (view.kind === 'windows') {
      await replayWindows(duck, view, { labels: 'moments', relation, into: 'replayed' })
      select = 'SELECT * FROM replayed'
    }
    const readers = view.features.map(({ type }) => readerOf(type))
    const values = readers.map((_, i) => `v${i}`).join(', ')
    for await (const chunk of duck.chunks(`SELECT rid, ${values} FROM (${select}) WHERE e IS NOT NULL`)) {
      for (const cells of chunk.getRows()) {
        answers[Number(cells[0])] = readers.map((read, i) => read(cells[i + 1]!))
      }
    }
    return answers
  } catch (error) {
    throw unreadable(sourceOf(view), error)
  }
}
