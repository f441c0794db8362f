// Finds registered versions by what is known of them. All of it is one query; NaN and infinities of metrics are not found.
import type { Expression, SqlBool } from 'kysely'
import type { ArtifactRow } from './registered-rows.js'
import { findModel } from './registered-rows.js'
import type { Db } from './registered-tables.js'
import type { VersionQuery } from './service.js'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000

/** Throws REGISTRY_MODEL_NOT_FOUND. */
export async function searchVersions(db: Db, query: VersionQuery): Promise<ArtifactRow[]> {
  const { model, text, tags, owner, team, metrics, digest, runId, alias, stage, isServable, isDeleted = false } = query
  const servable = model === undefined ? undefined : (await findModel(db, model)).servable_name
  return db
    .selectFrom('registry_artifacts as version')
    .selectAll('version')
    .where((eb) => {
      const all: Expression<SqlBool>[] = [eb('version.deleted_ms', isDeleted ? 'is not' : 'is', null)]
      if (servable !== undefined) all.push(eb('version.model', '=', servable))
      if (owner !== undefined) all.push(eb('version.owner', '=', owner))
      if (team !== undefined) all.push(eb('version.team', '=', team))
      if (runId !== undefined) all.push(eb('version.run_id', '=', runId))
      if (stage !== undefined) all.push(eb('version.stage', '=', stage))
      if (isServable !== undefined) all.push(eb('version.is_servable', '=', isServable ? 1 : 0))
      if (text !== undefined)
        all.push(
          eb.exists(
            eb
              .selectFrom('registry_models as named')
              .select('named.name')
              .whereRef('named.servable_name', '=', 'version.model')
              .where((inner) =>
                inner(
                  inner.fn<string>('lower', ['named.name']),
                  'like',
                  `%${text.toLowerCase().replace(/[%_]/g, '_')}%`,
                ),
              ),
          ),
        )
      if (digest !== undefined)
        all.push(
          eb.or([
            eb('version.digest', '=', digest),
            eb.exists(
              eb
                .selectFrom('registry_files as file')
                .select('file.path')
                .whereRef('file.model', '=', 'version.model')
                .whereRef('file.version', '=', 'version.version')
                .where('file.digest', '=', digest),
            ),
          ]),
        )
      if (alias !== undefined)
        all.push(
          eb.exists(
            eb
              .selectFrom('registry_aliases as named')
              .select('named.alias')
              .whereRef('named.model', '=', 'version.model')
              .whereRef('named.version', '=', 'version.version')
              .where('named.alias', '=', alias),
          ),
        )
      for (const [key, value] of Object.entries(tags ?? {}))
        all.push(
          eb.exists(
            eb
              .selectFrom('registry_tags as tag')
              .select('tag.key')
              .whereRef('tag.model', '=', 'version.model')
              .whereRef('tag.version', '=', 'version.version')
              .where('tag.key', '=', key)
              .where('tag.value', '=', value),
          ),
        )
      for (const { name, operator, value } of metrics ?? [])
        all.push(
          eb.exists(
            eb
              .selectFrom('registry_metrics as metric')
              .select('metric.name')
              .whereRef('metric.model', '=', 'version.model')
              .whereRef('metric.version', '=', 'version.version')
              .where('metric.name', '=', name)
              .where('metric.value', operator, value),
          ),
        )
      return eb.and(all)
    })
    .orderBy('version.created_ms', 'desc')
    .orderBy('version.model')
    .orderBy('version.version', 'desc')
    .limit(Math.min(Math.max(query.limit ?? DEFAULT_LIMIT, 1), MAX_LIMIT))
    .offset(Math.max(query.offset ?? 0, 0))
    .execute()
}
