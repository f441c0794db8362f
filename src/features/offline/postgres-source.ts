// Postgres sources: read through a cursor, in batches, into a table of DuckDB.

import type { CompiledView } from '../compiled.js'
import type { Duck } from './duck.js'
import type { Relation } from './relation.js'

export function createPostgresLoader(
  environment: Readonly<Record<string, string | undefined>>,
): (duck: Duck, view: CompiledView) => Promise<Relation> {
  return async (_duck, view) => {
    throw new Error(`${view.name} ${environment['X'] ?? ''}`)
  }
}
