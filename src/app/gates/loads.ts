// Loads: the version's files are there and what they were, and a backend takes them. Loading warms it up too.
import { HeadraceError, versionKey } from '../../core/index.js'
import type { Gate } from './gate.js'

export const loads: Gate = {
  name: 'loads',
  isNeeded: true,
  async check(candidate) {
    const { app, ref } = candidate
    const refused = app.refused.get(versionKey(ref))
    if (refused !== undefined && app.pool.status(ref) === undefined)
      return [{ verdict: 'failed', summary: refused.message, evidence: { code: refused.code } }]
    try {
      const wasThere = app.pool.get(ref) !== undefined
      if (!wasThere || app.pool.status(ref)?.state === 'resting')
        await app.pool.load(app.repository.prepare(await app.source.get(ref)))
    } catch (error) {
      if (!(error instanceof HeadraceError)) throw error
      return [{ verdict: 'failed', summary: error.message, evidence: { code: error.code } }]
    }
    const status = app.pool.status(ref)
    const served = app.pool.get(ref)
    if (served === undefined || status?.state !== 'ready') {
      const summary = status?.reason ?? `it is ${status?.state ?? 'not there'}`
      return [
        {
          verdict: 'failed',
          summary: `It does not load: ${summary}.`,
          evidence: { code: status?.error?.code ?? null },
        },
      ]
    }
    candidate.served = served
    const { kind, isolation, digest } = served
    return [{ verdict: 'passed', summary: 'It is loaded and ready.', evidence: { backend: kind, isolation, digest } }]
  },
}
