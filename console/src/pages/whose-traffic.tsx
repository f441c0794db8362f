// Whose traffic the figures are of: which nodes, which are missing, and which tenant.
import { chooseNode, useChosenNode } from '../api/chosen-node.js'
import type { LiveNode, LiveNodes } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount } from '../format.js'

interface WhoseTrafficProps {
  readonly nodes: LiveNodes | undefined
}

/** Nothing where there is one node. */
export function WhoseTraffic({ nodes }: WhoseTrafficProps) {
  const chosen = useChosenNode()
  if (nodes === undefined) return null
  const { counted, missing, isStoreAway } = nodes
  const isAlone = chosen === undefined && counted.length === 1 && missing.length === 0 && !isStoreAway
  if (isAlone) return null
  return (
    <div className="whose" data-note="nodes">
      <NodeChoice nodes={nodes} />
      <div>
        <p className="muted">{sentence(nodes, chosen)}</p>
        {isStoreAway && (
          <p className="warn">
            The metadata store does not answer: nothing is known of other nodes, and their traffic is not in these
            figures.
          </p>
        )}
        {missing.map((node) => (
          <p key={node.id} className="warn">
            Without {nameOf(node)}: {node.reason}.
          </p>
        ))}
      </div>
    </div>
  )
}

function sentence({ counted }: LiveNodes, chosen: string | undefined): string {
  const names = counted.map(nameOf).join(', ')
  if (chosen !== undefined) return counted.length === 0 ? 'No figures of this node.' : `Figures are of ${names} alone.`
  return counted.length === 1
    ? `Figures are of ${names} alone.`
    : `Figures are the sum of ${formatCount(counted.length)} nodes: ${names}.`
}

/** All that share the store, also while one of them is looked at. */
function NodeChoice({ nodes }: { readonly nodes: LiveNodes }) {
  const chosen = useChosenNode()
  // The sum is asked for as well, to know which others there are.
  const sum = usePoll<{ nodes: LiveNodes }>(chosen === undefined ? undefined : '/api/v1/live', 10_000)
  const all = chosen === undefined ? nodes : (sum.data?.nodes ?? nodes)
  const options = [...all.counted, ...all.missing]
  return (
    <label className="field">
      <span>Nodes</span>
      <select
        value={chosen ?? ''}
        onChange={(event) => chooseNode(event.target.value === '' ? undefined : event.target.value)}
      >
        <option value="">all</option>
        {options.map((node) => (
          <option key={node.id} value={node.id}>
            {nameOf(node)}
          </option>
        ))}
        {chosen !== undefined && options.every(({ id }) => id !== chosen) && <option value={chosen}>{chosen}</option>}
      </select>
    </label>
  )
}

/** Nodes on one machine share its name: their addresses tell them apart. */
function nameOf(node: Pick<LiveNode, 'id' | 'name' | 'url'> & { readonly isSelf?: boolean }): string {
  if (node.isSelf) return `${node.name} (this one)`
  return `${node.name} (${node.url === null ? `…${node.id.slice(-6)}` : new URL(node.url).host})`
}
