// Approvals: enough people said yes to exactly this content for this endpoint, and nobody said no.
import { actorText, countApprovals } from '../../release/index.js'
import type { Gate } from './gate.js'

export const approvals: Gate = {
  name: 'approvals',
  isNeeded: false,
  async check({ app, ref, served, settings, endpoint, startedBy }) {
    const wanted = settings?.approvals
    if (wanted === undefined)
      return [{ verdict: 'skipped', summary: `No approval is asked for (endpoints.${endpoint}.gates.approvals).` }]
    const words = await app.services.gates.approvals(endpoint, ref, served!.digest)
    const authors = wanted.fourEyes ? await app.services.gates.authors(ref) : []
    const excluded = wanted.fourEyes ? [...authors, ...(startedBy ? [startedBy] : [])] : []
    const { counted, rejection, text } = countApprovals(words, wanted, excluded)
    const evidence = {
      needed: wanted,
      approvals: words,
      counted: counted.length,
      rejected: rejection !== undefined,
      mayNotApprove: [...new Set(excluded.map(actorText))],
    }
    if (rejection !== undefined) {
      const why = rejection.comment === null ? '' : `: ${rejection.comment}`
      return [
        {
          verdict: 'failed',
          summary: `${rejection.by.name} rejected it${why}. A rejection ends when it is undone.`,
          evidence,
        },
      ]
    }
    if (counted.length >= wanted.count) {
      const names = counted.map(({ by }) => by.name).join(', ')
      return [{ verdict: 'passed', summary: `Approved by ${names}.`, evidence }]
    }
    return [
      {
        verdict: 'failed',
        summary: `${text} headrace models approve ${ref.model}@${ref.version} --endpoint ${endpoint}`,
        evidence,
      },
    ]
  },
}
