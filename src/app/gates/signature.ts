// Signature: callers of the endpoint go on as they are. Compared with what callers see now, whatever version that is of.
import { compareSignatures } from '../../release/index.js'
import { rowSchema } from '../views.js'
import type { Gate } from './gate.js'

export const signature: Gate = {
  name: 'signature',
  isNeeded: false,
  async check({ champion, noChampion, served }) {
    if (champion === undefined) return [{ verdict: 'skipped', summary: noChampion }]
    const view = (version: typeof champion) => ({
      schema: rowSchema(version),
      featureService: version.manifest.featureService,
    })
    const changes = compareSignatures(view(champion), view(served!))
    const breaking = changes.filter(({ isBreaking }) => isBreaking).map(({ text }) => text)
    const harmless = changes.filter(({ isBreaking }) => !isBreaking).map(({ text }) => text)
    const evidence = { comparedWith: champion.ref.version, breaking, harmless }
    if (breaking.length > 0) return [{ verdict: 'failed', summary: breaking.join(' '), evidence }]
    const than = `version ${champion.ref.version}`
    const summary =
      harmless.length === 0
        ? `Callers see no difference to ${than}.`
        : `Callers of ${than} can go on: ${harmless.join(' ')}`
    return [{ verdict: 'passed', summary, evidence }]
  },
}
