// What a leaf's selector means now: aliases live in the metadata store, readiness in the pool.
import type { ModelName } from '../core/index.js'
import type { Versions } from '../path/index.js'
import type { VersionLeaf } from '../route/index.js'
import type { Pool } from '../serving/index.js'
import { AppErrors } from './errors.js'

/** Aliases of every model, in memory because requests look them up; replaced as a whole after a decision. */
export class Aliases {
  #byModel = new Map<string, Map<string, number>>()

  replace(rows: readonly { readonly model: string; readonly alias: string; readonly version: number }[]): void {
    const next = new Map<string, Map<string, number>>()
    for (const { model, alias, version } of rows) {
      const aliases = next.get(model) ?? new Map<string, number>()
      next.set(model, aliases.set(alias, version))
    }
    this.#byModel = next
  }

  get(model: string, alias: string): number | undefined {
    return this.#byModel.get(model)?.get(alias)
  }

  of(model: string): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#byModel.get(model) ?? [])
  }
}

/** Undefined when there is no such alias. */
export function numberOf({ model, version }: VersionLeaf, aliases: Aliases): number | 'latest' | undefined {
  return typeof version === 'object' ? aliases.get(model, version.alias) : version
}

export function createVersions(pool: Pool, aliases: Aliases): Versions {
  return {
    lastSeen(leaf) {
      const number = numberOf(leaf, aliases)
      return number === undefined ? undefined : pool.lastSeen(leaf.model, number)
    },
    wake(leaf, limitMs) {
      const number = numberOf(leaf, aliases)
      return number === undefined ? undefined : pool.wake({ model: leaf.model, version: number }, limitMs)
    },
    there(leaf) {
      const number = numberOf(leaf, aliases)
      if (number === undefined) return undefined
      return number === 'latest' ? pool.latest(leaf.model) : pool.get({ model: leaf.model, version: number })
    },
    resolve({ model, version }) {
      if (typeof version !== 'object') return pool.resolve(model, version)
      const number = aliases.get(model, version.alias)
      if (number !== undefined) return pool.resolve(model, number)
      throw AppErrors.ALIAS_NOT_FOUND({ model, alias: version.alias, known: Object.keys(aliases.of(model)) })
    },
  }
}

/** The route of a model nobody declared an endpoint for: its champion when there is one, else its newest ready version. */
export function implicitRoute(model: ModelName, aliases: Aliases): VersionLeaf {
  const version = aliases.get(model, 'champion') === undefined ? 'latest' : { alias: 'champion' }
  return { kind: 'version', model, version }
}
