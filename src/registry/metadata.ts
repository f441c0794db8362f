// What the metadata store knows about models: the digest each version number stands for, the aliases, and where decisions
// pointed endpoints. The rows are the present state; who made it so, when and why is in the decisions.
import type { Digest, ModelName, VersionRef } from '../core/index.js'
import type { Sql } from '../store/index.js'

export type RegistryTables = {
  registry_versions: { model: string; version: number; digest: string }
  registry_aliases: { model: string; alias: string; version: number }
  /** `selector` is the JSON of a number, `"latest"` or `{"alias": …}`. */
  registry_endpoints: { endpoint: string; model: string; selector: string }
}

/** A version of a model as endpoints name it: a number, `latest`, or an alias. */
export type PointerSelector = number | 'latest' | { readonly alias: string }

/** Where decisions pointed an endpoint; a route of one leaf. */
export interface Pointer {
  readonly kind: 'version'
  readonly model: ModelName
  readonly version: PointerSelector
}

/** Every version ever seen, with the digest its number stands for. */
export async function readVersions(sql: Sql): Promise<{ readonly ref: VersionRef; readonly digest: Digest }[]> {
  const rows = await sql
    .db<RegistryTables>()
    .selectFrom('registry_versions')
    .selectAll()
    .orderBy('model')
    .orderBy('version')
    .execute()
  return rows.map(({ model, version, digest }) => ({
    ref: { model: model as ModelName, version },
    digest: digest as Digest,
  }))
}

export async function readAliases(
  sql: Sql,
): Promise<{ readonly model: ModelName; readonly alias: string; readonly version: number }[]> {
  const rows = await sql
    .db<RegistryTables>()
    .selectFrom('registry_aliases')
    .selectAll()
    .orderBy('model')
    .orderBy('alias')
    .execute()
  return rows.map(({ model, alias, version }) => ({ model: model as ModelName, alias, version }))
}

/** By endpoint. */
export async function readPointers(sql: Sql): Promise<Map<string, Pointer>> {
  const rows = await sql.db<RegistryTables>().selectFrom('registry_endpoints').selectAll().orderBy('endpoint').execute()
  return new Map(rows.map((row) => [row.endpoint, pointerOf(row)]))
}

export function pointerOf(row: { readonly model: string; readonly selector: string }): Pointer {
  return { kind: 'version', model: row.model as ModelName, version: JSON.parse(row.selector) as PointerSelector }
}
