// Which words of people count towards the approvals that an endpoint asks for.
import type { Actor } from '../../decisions/index.js'
import type { ApprovalSettings } from './config.js'
import { actorText } from './store.js'
import type { Approval } from './types.js'

type Word = Pick<Approval, 'verdict' | 'by' | 'role' | 'comment'>

/**
 * The approvals of people who have the role and are none of `excluded`: those who, with four eyes, pushed the version or give it traffic.
 * Everybody's rejection counts. `text` says how many there are and whose never count.
 */
export function countApprovals<T extends Word>(
  words: readonly T[],
  wanted: ApprovalSettings,
  excluded: readonly Actor[],
): { readonly counted: readonly T[]; readonly rejection: T | undefined; readonly text: string } {
  const without = new Map(excluded.map((actor) => [actorText(actor), actor.name]))
  const counted = words.filter(
    ({ verdict, by, role }) => verdict === 'approved' && !without.has(actorText(by)) && mayApprove(role, wanted.role),
  )
  const but = without.size === 0 ? '' : `, but not ${[...without.values()].join(' or ')}`
  return {
    counted,
    rejection: words.find(({ verdict }) => verdict === 'rejected'),
    text: `${counted.length} of ${wanted.count} approvals are there. Anyone with the role ${wanted.role}${but} can approve.`,
  }
}

/** Where no keys exist nobody has a role, and everybody may. */
function mayApprove(role: string | null, wanted: 'approver' | 'admin'): boolean {
  return role === null || role === 'admin' || role === wanted
}
