// The versions that there are and what became of them, as Triton's repository index has it.
import type { VersionState } from '../../serving/index.js'
import type { App } from '../app.js'
import { modelViews } from '../views.js'
import type { RepositoryEntry, RepositoryState } from './types.js'

const STATES: Readonly<Record<VersionState, RepositoryState>> = {
  // It answers: the first request loads it.
  resting: 'READY',
  loading: 'LOADING',
  ready: 'READY',
  unready: 'UNAVAILABLE',
  failed: 'UNAVAILABLE',
  unloading: 'UNLOADING',
  unloaded: 'UNAVAILABLE',
}

/** By model and number; those that were unloaded stay, with the reason "unloaded". */
export async function repositoryIndex(
  app: App,
  options: { readonly readyOnly?: boolean } = {},
): Promise<RepositoryEntry[]> {
  const models = await modelViews(app)
  const entries = models.flatMap(({ name, versions }) =>
    versions.map(({ version, state, reason }): RepositoryEntry => {
      // MLServer's types want a reason also where there is none.
      const why = reason ?? (state === 'unloaded' ? 'unloaded' : '')
      return { name, version: String(version), state: STATES[state], reason: why }
    }),
  )
  return options.readyOnly === true ? entries.filter(({ state }) => state === 'READY') : entries
}
