// Whose traffic the figures are of: with several nodes each counts its own.
import type { NodeView } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount } from '../format.js'

/** Nothing where there is one node, or none may be listed. */
export function OfThisNode() {
  const { data } = usePoll<{ nodes: readonly NodeView[] }>('/api/v1/nodes', 30_000)
  const here = data?.nodes.filter(({ isGone }) => !isGone) ?? []
  if (here.length < 2) return null
  const self = here.find(({ isSelf }) => isSelf)
  const others = here.filter(({ isSelf }) => !isSelf)
  return (
    <p className="foot muted" data-note="nodes">
      Rates, latencies and shares are of the traffic that this node{self && ` (${self.name})`} answered, one of{' '}
      {formatCount(here.length)}. The others:{' '}
      {others.slice(0, 20).map(({ id, name, url }, i) => (
        <span key={id}>
          {i > 0 && ', '}
          {url === null ? name : <a href={`${url}/console/`}>{name}</a>}
        </span>
      ))}
      .
    </p>
  )
}
