// Approvals: enough people said yes to exactly this content for this endpoint, and nobody said no.
import { actorText } from '../../release/index.js'
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
    const excluded = new Set([...authors, ...(wanted.fourEyes && startedBy ? [startedBy] : [])].map(actorText))
    const rejections = words.filter(({ verdict }) => verdict === 'rejected')
    const counted = words.filter(
      ({ verdict, by, role }) =>
        verdict === 'approved' && !excluded.has(actorText(by)) && mayApprove(role, wanted.role),
    )
    const evidence = {
      needed: wanted,
      approvals: words,
      counted: counted.length,
      rejected: rejections.length > 0,
      mayNotApprove: [...excluded],
    }
    const [rejection] = rejections
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
    const but =
      excluded.size > 0 ? `, but not ${[...excluded].map((text) => text.replace(/^person:/, '')).join(' or ')}` : ''
    return [
      {
        verdict: 'failed',
        summary: `${counted.length} of ${wanted.count} approvals are there. Anyone with the role ${wanted.role}${but} can approve: headrace models approve ${ref.model}@${ref.version} --endpoint ${endpoint}`,
        evidence,
      },
    ]
  },
}

/** Where no keys exist nobody has a role, and everybody may. */
function mayApprove(role: string | null, wanted: 'approver' | 'admin'): boolean {
  return role === null || role === 'admin' || role === wanted
}
